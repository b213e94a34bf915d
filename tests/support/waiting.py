"""Wait for what another process does: until something is true, or for a turn."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_S = 90


def until(question: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Return once the question is answered with yes; fail when the process ended or it takes too long."""
    deadline = time.monotonic() + LONGEST_S
    while not question():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.communicate()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {LONGEST_S} s")
        time.sleep(0.02)


@contextmanager
def alone(what: str) -> Iterator[None]:
    """One test process at a time inside the block, whichever of pytest's workers it belongs to."""
    with Path(tempfile.gettempdir(), f"tfs-workflow-tests-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
