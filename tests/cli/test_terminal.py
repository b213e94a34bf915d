"""On a terminal, serve shows what loads, and the state of a version has a colour."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.models import BUNDLED
from tests.support.modelserver import graphs

GREEN = b"\x1b[32mAVAILABLE\x1b[0m"


class Terminal:
    """Runs verbs with stdout or stderr on a pseudo terminal, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        hidden = ("NO_COLOR", "TERM")
        inherited = {key: value for key, value in os.environ.items() if key not in hidden and key[:4] != "TFS_"}
        cache = {"XDG_CACHE_HOME": str(directory / "cache"), "TFS_RUNTIME": "embedded"}
        self.environment = inherited | cache | {"TERM": "xterm"}

    def shows(self, stream: str, *words: str, **environment: str) -> bytes:
        """The bytes that a verb writes to the terminal, which is its stdout or its stderr."""
        return self.run(stream, ["-m", "tfs_workflow.cli.program", *words], environment)

    def run(self, stream: str, argv: list[str], environment: dict[str, str]) -> bytes:
        """The bytes that a Python program writes to the terminal."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, *argv],
            stdout=theirs if stream == "stdout" else subprocess.DEVNULL,
            stderr=theirs if stream == "stderr" else subprocess.DEVNULL,
            cwd=self.directory,
            env=self.environment | environment,
        )
        os.close(theirs)
        shown = b"".join(_chunks(ours))
        os.close(ours)
        assert process.wait(60) == 0, shown
        return shown


def _chunks(terminal: int) -> Iterator[bytes]:
    with suppress(OSError):  # EIO, once the process has closed its side
        while chunk := os.read(terminal, 4096):
            yield chunk


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
def served(terminal: Terminal) -> Iterator[bytes]:
    """What serve shows on stderr; the server runs during the test."""
    yield terminal.shows("stderr", "serve", str(BUNDLED))
    terminal.shows("stdout", "teardown", "--purge")


@pytest.fixture
def loading(terminal: Terminal, tmp_path: Path) -> Iterator[bytes]:
    """The same of a model that takes a while to load: one that is there at the first look has no bar."""
    base_path = tmp_path / "half_plus_two"
    graphs.toiling(base_path / "1", products=20)
    yield terminal.shows("stderr", "serve", str(base_path))
    terminal.shows("stdout", "teardown", "--purge")


@pytest.mark.usefixtures("served")
def test_bench_shows_a_bar_with_the_latencies_of_the_moment(terminal: Terminal) -> None:
    shown = terminal.shows("stderr", "bench", "--connections", "1", "--seconds", "1", "--warm-up", "0")
    assert re.search(rb"1 connection  p50 \d+\.\d\d ms, p99 \d+\.\d\d ms", shown)


def test_serve_shows_a_bar_per_model_and_states_in_colour(terminal: Terminal, loading: bytes) -> None:
    assert b"loading half_plus_two" in loading
    assert GREEN in terminal.shows("stdout", "serve")
    assert GREEN in terminal.shows("stdout", "status")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = terminal.shows("stdout", "status", **environment)
        assert b"AVAILABLE" in plain
        assert b"\x1b[" not in plain


def test_a_state_in_transition_is_yellow_and_an_end_is_red(terminal: Terminal) -> None:
    program = (
        "import sys; from tfs_workflow.cli.console import state_coloured; print(*map(state_coloured, sys.argv[1:]))"
    )
    shown = terminal.run("stdout", ["-c", program, "START", "LOADING", "UNLOADING", "END", "UNKNOWN"], {})
    yellow = b" ".join(b"\x1b[33m%s\x1b[0m" % state for state in (b"START", b"LOADING", b"UNLOADING"))
    assert shown.split(b"\r\n")[0] == yellow + b" \x1b[31mEND\x1b[0m UNKNOWN"
