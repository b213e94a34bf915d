"""Verbs in processes of their own that start at once: forked off a process that has imported everything already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.support.command import CommandLine

HANGS_S = 120
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.every_verb"])


@dataclass(frozen=True)
class Done:
    """How a verb ended."""

    words: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Forked:
    """A verb under way; its output goes to files in `directory`."""

    words: tuple[str, ...]
    process: ForkServerProcess
    directory: Path

    @classmethod
    def start(cls, lab: CommandLine, *words: str, delay_s: float = 0.0) -> Forked:
        """Start the words on the project's YAML as the last verb of `lab` left it, this much later."""
        directory = Path(lab.directory, f"output-{time.monotonic_ns()}")
        directory.mkdir()
        argv = ["tfs", *words, "--config", str(lab.directory / "tfs.yaml")]
        process = _CONTEXT.Process(target=_run, args=(argv, str(directory), delay_s))
        process.start()
        return cls(words, process, directory)

    def done(self) -> Done:
        """Wait for its end; one that hangs is killed, and has no exit code then."""
        self.process.join(HANGS_S)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
        stdout, stderr = ((self.directory / name).read_text() for name in ("stdout", "stderr"))
        self.process.close()
        return Done(self.words, code, stdout, stderr)


def _run(argv: list[str], directory: str, delay_s: float) -> None:
    """What a shell does before a command, then the command."""
    os.setsid()
    for number, name in ((0, os.devnull), (1, f"{directory}/stdout"), (2, f"{directory}/stderr")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("TFS_")]:
        del os.environ[name]
    os.chdir(Path(directory).parent)
    time.sleep(delay_s)
    from tfs_workflow.cli.program import program  # noqa: PLC0415  # here it is imported for all of them

    program.run(argv)
