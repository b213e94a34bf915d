"""A project to hurt, and what is left of it afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
import psutil

from tests.support.command import CommandLine
from tfs_workflow.runtimes.base import PROJECT_LABEL
from tfs_workflow.runtimes.process.marks import PROJECT_VARIABLE
from tfs_workflow.state.cleanup import STAGED_FOR

NO_ENGINE = "unix:///nonexistent/docker.sock"
_OWN_FILES = {"tfs.yaml", "tfs.lock", "rows.jsonl", "out.jsonl"}


class Lab(CommandLine):
    """A project in a directory of its own, with a temporary directory of its own; `engine` is empty without Docker."""

    engine: str = ""
    serves: bool = False

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """As ever; a server that was started here is none that a later verb left behind."""
        self.serves = self.serves or "serve" in words
        return super().ok(*words, stdin=stdin)

    @property
    def temporary(self) -> Path:
        """What the verbs take for /tmp."""
        return self.directory / "tmp"

    def servers(self) -> list[str]:
        """Containers and processes that bear the project's label, running or ended."""
        return [*self._containers(), *(f"process {pid}" for pid in self.processes())]

    def processes(self) -> list[int]:
        """Processes that serve for the project or fetch for it."""
        found = []
        for process in psutil.process_iter(["pid", "environ"]):
            environ: dict[str, str] = process.info["environ"] or {}
            staged = environ.get(STAGED_FOR, "").startswith(str(self.workspace))
            if environ.get(PROJECT_VARIABLE) == self.project or staged:
                found.append(int(process.info["pid"]))
        return found

    def half_files(self) -> list[str]:
        """What was begun and not finished, anywhere in the project's directories."""
        staging = [str(path) for path in (self.workspace / "staging").glob("*")]
        partial = [str(path) for path in self.directory.rglob(".*.tmp")]
        temporary = [str(path) for path in self.temporary.iterdir()]
        strange = [p.name for p in self.directory.iterdir() if p.name not in _OWN_FILES | {"tmp", self.workspace.name}]
        return staging + partial + temporary + strange

    def left_behind(self) -> list[str]:
        """Everything that a torn down and purged project may not leave."""
        workspace = [str(self.workspace)] if os.path.lexists(self.workspace) else []
        return self.servers() + self.half_files() + workspace

    def _containers(self) -> list[str]:
        if not self.engine:
            return []
        with closing(docker.DockerClient(base_url=self.engine)) as client:
            label: dict[str, str | list[str] | bool] = {"label": f"{PROJECT_LABEL}={self.project}"}
            everything = client.containers.list(all=True, filters=label, ignore_removed=True)
            volumes = client.volumes.list(filters=label)
            return [f"container {c.name}" for c in everything] + [f"volume {v.name}" for v in volumes]


@contextmanager
def lab(runtime: str, image: str = "", engine: str = "", host: str = "") -> Iterator[Lab]:
    """A fresh project; `engine` is looked at for what is left, `host` is the way to it that the verbs take."""
    with tempfile.TemporaryDirectory(prefix="tfs-lab-") as directory:
        line = Lab.in_directory(Path(directory), runtime, image)
        if not isinstance(line, Lab):
            raise TypeError("in_directory makes what it is called on")
        line.engine = engine
        line.temporary.mkdir()
        line.environment |= {"TMPDIR": str(line.temporary), "DOCKER_HOST": host or NO_ENGINE}
        yield line
