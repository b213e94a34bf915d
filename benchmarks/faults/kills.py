"""kill -9 of the tool, of the server and of the engine, each at a random moment of a verb."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

from benchmarks.faults.counting import Ended, Row
from benchmarks.faults.lab import Lab, lab
from tests.support.engine.private import PrivateEngine
from tests.support.git_server import MODEL_PATH, TAG, GitServer

VERBS = ("setup", "serve", "predict", "teardown")
BEFORE: dict[str, tuple[str, ...]] = {
    "setup": (),
    "serve": ("setup",),
    "predict": ("setup", "serve"),
    "teardown": ("setup", "serve"),
}
ROWS = 20_000
LONGEST_VERB_S = 180
POLL_S = 0.005
# Which exit codes a verb may end with when this was killed; the tool's own end is its signal, unless it was done.
EXPECTED: dict[str, frozenset[int]] = {
    "tool": frozenset((-signal.SIGKILL, 0)),
    "server": frozenset((0, 5, 6)),
    "engine": frozenset((0, 3, 5, 6)),
}


@dataclass
class Killing:
    """Kills on one runtime; `engine` is None for the embedded one. `took_s` is how long each verb takes undisturbed."""

    runtime: str
    git: GitServer
    chance: random.Random
    image: str = ""
    engine: PrivateEngine | None = None

    def __post_init__(self) -> None:
        self.took_s: dict[str, float] = {}
        self.rows: dict[tuple[str, str], Row] = {}

    def victims(self) -> list[str]:
        """What can be killed here, the tool more often than the rest."""
        return ["tool", "tool", "tool", "server"] + (["engine"] if self.engine else [])

    def run(self, kills: int, report: Callable[[str], None]) -> list[Row]:
        """So many kills, of everything in turn, at moments that chance decides."""
        for number in range(kills):
            victims = self.victims()
            victim = victims[number % len(victims)]
            verb = self.chance.choice(VERBS if victim != "server" else ("serve", "predict"))
            row = self._row(victim, verb)
            with self._lab() as project:
                try:
                    ended = self._one(project, victim, verb)
                    row.add(project, ended, _words(project, verb) if verb == "predict" else ())
                    _check_output(project, whole=verb == "predict")
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    row.problems.append(str(error))
                    project.run("teardown", "--purge")
            told = f"{dict(row.exit_codes)} {row.problems or ''}"
            report(f"{self.runtime} {number + 1}/{kills}: {victim} during {verb}: {told}")
        return [self.rows[key] for key in sorted(self.rows)]

    def _lab(self) -> AbstractContextManager[Lab]:
        host = self.engine.host if self.engine else ""
        return lab(self.runtime, self.image, host, host)

    def _row(self, victim: str, verb: str) -> Row:
        title = f"kill -9 of the {victim} during `{verb}`, {self.runtime}"
        # A killed tool cleans nothing up, and without an engine nobody can.
        return self.rows.setdefault((victim, verb), Row(title, EXPECTED[victim], cleans_up=victim == "server"))

    def _one(self, project: Lab, victim: str, verb: str) -> Ended:
        self._prepare(project, verb)
        delay_s = self.chance.uniform(0, self._duration_s(verb))
        process = project.start(*_words(project, verb))
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay_s)
        if victim == "tool":
            process.kill()
        elif victim == "server":
            _kill_server(project, process)
        elif self.engine is not None:
            self.engine.kill()
        _, said = process.communicate(timeout=LONGEST_VERB_S)
        if victim == "engine" and self.engine is not None:
            self.engine.start()
        _check_output(project, whole=False)
        return Ended.of(subprocess.CompletedProcess([], process.returncode, "", said))

    def _prepare(self, project: Lab, verb: str) -> None:
        url = f"{self.git.url}/serving.git"
        source = {"git": url, "ref": TAG, "path": MODEL_PATH}
        project.config["models"]["half_plus_two"]["source"] = [source]
        rows = "".join(f"{index}.0\n" for index in range(ROWS))
        (project.directory / "rows.jsonl").write_text(rows)
        if BEFORE[verb]:
            project.ok(*BEFORE[verb])

    def _duration_s(self, verb: str) -> float:
        """How long the verb takes undisturbed, measured once."""
        if verb not in self.took_s:
            with self._lab() as project:
                self._prepare(project, verb)
                start_s = time.monotonic()
                project.ok(*_words(project, verb))
                self.took_s[verb] = time.monotonic() - start_s
                project.ok("teardown", "--purge")
        return self.took_s[verb]


def _words(project: Lab, verb: str) -> tuple[str, ...]:
    if verb != "predict":
        return (verb,)
    return ("predict", "--input", str(project.directory / "rows.jsonl"), "--output", str(_output(project)))


def _output(project: Lab) -> Path:
    return project.directory / "out.jsonl"


def _check_output(project: Lab, *, whole: bool) -> None:
    """A prediction's file is whole, or not there."""
    there = _output(project).exists()
    if whole and not there:
        raise AssertionError("predict, run again, left no file")
    if there and len(_output(project).read_text().splitlines()) != ROWS:
        raise AssertionError("predict left a half file")


def _kill_server(project: Lab, process: subprocess.Popen[str]) -> None:
    """Kill the project's server as soon as there is one."""
    while process.poll() is None:
        if _killed(project):
            return
        time.sleep(POLL_S)
    _killed(project)


def _killed(project: Lab) -> bool:
    for pid in project.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    if not project.engine:
        return False
    with closing(docker.DockerClient(base_url=project.engine)) as client:
        for container in client.containers.list(filters={"label": f"tfs-workflow.project={project.project}"}):
            with suppress(docker.errors.APIError):
                container.kill()
                return True
    return False
