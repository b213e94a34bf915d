"""Verbs that are brought to the middle of their work, to be interrupted there."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.faults import running
from tests.support.waiting import until

HANGS_S = 30  # a bound on hanging, no measure of speed: benchmarks/interrupts.py measures
ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
Busy = Callable[[CommandLine], Iterator[subprocess.Popen[str]]]


def ended(process: subprocess.Popen[str], *numbers: int) -> tuple[int, str]:
    """Exit code and messages of a process that is sent these signals at once."""
    for number in numbers:
        process.send_signal(number)
    _, message = process.communicate(timeout=HANGS_S)
    assert "Traceback" not in message
    assert "Exception ignored" not in message
    return process.returncode, message


def left_over(lab: CommandLine) -> list[str]:
    """Temporary files and directories in the workspace and beside the YAML."""
    staged = list((lab.workspace / "staging").glob("*"))
    return [str(path) for path in [*staged, *lab.directory.rglob(".*.tmp")]]


def waiting_for_the_lock(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """serve, while another verb has the workspace."""
    lab.ok("setup")
    with (lab.workspace / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = lab.start("serve")
        assert process.stderr
        assert "waiting for another verb" in process.stderr.readline()
        yield process


def waiting_for_the_server(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """serve, while the model is not AVAILABLE."""
    lab.ok("setup")
    lab.config["server"]["flags"] = NEVER_READY
    process = lab.start("serve")
    until(lambda: running(lab), process)
    yield process


def demonstrating(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """demo, while it serves: its teardown must still come."""
    lab.config["server"]["flags"] = NEVER_READY
    process = lab.start("demo")
    until(lambda: running(lab), process)
    yield process


def streaming(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """predict, in the middle of rows that do not end."""
    lab.ok("setup", "serve")
    rows = lab.directory / "rows.jsonl"
    os.mkfifo(rows)
    process = lab.start("predict", "--input", str(rows), "--output", str(lab.directory / "out.jsonl"))
    with rows.open("w") as feed:
        feed.write("1.0\n" * 10_000)
        feed.flush()
        until((lab.directory / "out.jsonl.partial").exists, process)
        yield process
    assert not (lab.directory / "out.jsonl").exists()


def following_the_log(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """logs --follow; the server goes on."""
    lab.ok("setup", "serve")
    process = lab.start("logs", "--follow")
    assert process.stdout
    assert process.stdout.readline()
    yield process
    lab.ok("predict")


def asking_an_engine_that_is_silent(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """doctor, while the engine does not answer."""
    yield from before_a_silent_engine(lab, "doctor")


def pulling_from_an_engine_that_is_silent(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """setup, while the engine does not answer."""
    yield from before_a_silent_engine(lab, "setup")


def before_a_silent_engine(lab: CommandLine, verb: str) -> Iterator[subprocess.Popen[str]]:
    lab.config["runtime"] = "docker"
    with silent_engine(lab) as engine:
        process = lab.start(verb)
        with engine.accept()[0]:
            yield process
    lab.config["runtime"] = "embedded"


@contextmanager
def silent_engine(lab: CommandLine) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as engine:
        path = str(lab.directory / "engine.sock")
        engine.bind(path)
        engine.listen()
        engine.settimeout(HANGS_S)
        lab.environment["DOCKER_HOST"] = f"unix://{path}"
        yield engine
        del lab.environment["DOCKER_HOST"]


BUSY = [
    waiting_for_the_lock,
    waiting_for_the_server,
    demonstrating,
    streaming,
    following_the_log,
    asking_an_engine_that_is_silent,
    pulling_from_an_engine_that_is_silent,
]
