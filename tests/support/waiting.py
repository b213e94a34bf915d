"""Ask until something is true, while the process that should make it true lives."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

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
