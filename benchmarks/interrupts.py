"""How long a verb takes from SIGINT or SIGTERM to its exit, in the middle of its work: at most 2 s."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.support.busy_verbs import BUSY, Busy, waiting_for_the_server
from tests.support.command import CommandLine
from tests.support.faults import servers
from tests.support.waiting import until

ROUNDS = 5
TARGET_S = 2.0
IMAGE = "tfs-workflow/model-server:test"


def replacing(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """serve, while it replaces a server, which must come back."""
    lab.ok("setup", "serve")
    (before,) = servers(lab)
    lab.config["server"]["flags"] = {"file_system_poll_wait_seconds": -1}
    process = lab.start("serve")
    until(lambda: any(s.digest != before.digest and s.exit_code is None for s in servers(lab)), process)
    yield process
    lab.config["server"].pop("flags")


def tearing_down(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """teardown, from the moment at which it has the workspace."""
    lab.ok("setup", "serve")
    process = lab.start("teardown")
    until(lambda: (lab.workspace / ".lock").read_text() == str(process.pid), process)
    yield process


def following(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """serve --follow; its end includes the teardown."""
    lab.ok("setup")
    process = lab.start("serve", "--follow")
    assert process.stdout
    while "Exporting HTTP/REST API" not in process.stdout.readline():
        assert process.poll() is None
    yield process


def seconds(busy: Busy, runtime: str, number: int) -> float:
    """From the signal to the exit, once, in a lab of its own."""
    with tempfile.TemporaryDirectory() as directory:
        lab = CommandLine.in_directory(Path(directory), runtime, IMAGE if runtime == "docker" else "")
        try:
            with contextmanager(busy)(lab) as process:
                start = time.perf_counter()
                process.send_signal(number)
                process.communicate()
                return time.perf_counter() - start
        finally:
            lab.config["server"].pop("flags", None)
            lab.run("teardown", "--purge")


def measured(busy: Busy, runtime: str) -> bool:
    """One line: the work, the median and the longest of all rounds and both signals, and whether that is in time."""
    taken = [seconds(busy, runtime, number) for _ in range(ROUNDS) for number in (signal.SIGINT, signal.SIGTERM)]
    verdict = "ok" if max(taken) <= TARGET_S else "MISSED"
    work = f"{runtime}: {busy.__name__.replace('_', ' ')}"
    print(f"{work:<60} median {statistics.median(taken):.2f} s  max {max(taken):.2f} s  {verdict}", flush=True)
    return max(taken) <= TARGET_S


def has_image() -> bool:
    """Whether an engine answers and has the embedded server's image."""
    try:
        docker.from_env().images.get(IMAGE)
    except docker.errors.DockerException:
        return False
    return True


def main() -> int:
    """Measure every scene; containers only where there is an engine with the image."""
    # Started in the background, a run has Ctrl-C ignored and would hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    scenes = [(busy, "embedded") for busy in (*BUSY, replacing, tearing_down, following)]
    if has_image():
        scenes += [(busy, "docker") for busy in (waiting_for_the_server, replacing, tearing_down, following)]
    met = [measured(*scene) for scene in scenes]  # every one, also after one that missed
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
