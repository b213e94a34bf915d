"""Runs independent steps at the same time, and ends them together.

A model may take minutes to download, and so may an image; neither depends on the other. Threads suffice, since both
wait for the network. concurrent.futures does not: its executor waits for every thread when it ends, so that one stuck
in a system call would hold up Ctrl-C and the end of the process.

One failure ends all steps, as the whole cannot succeed any more. Failures that follow within the grace time are
reported together: a user mends both at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from tfs_workflow.errors import RunInterruptedError, WorkflowError

# Long enough for a step to see `cancelled` and remove what it staged.
CANCEL_GRACE_S = 1.0


class MultipleFailuresError(WorkflowError):
    """More than one step failed; the text holds every message, the exit code is the first one's."""

    def __init__(self, errors: list[WorkflowError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors
        self.exit_code = errors[0].exit_code


def run_all(steps: Mapping[str, Callable[[], Any]], cancelled: threading.Event) -> dict[str, Any]:
    """Run every step in a thread of its own and return the results by name.

    The first failure or Ctrl-C sets `cancelled`, which the other steps poll, and waits for them at most
    CANCEL_GRACE_S; the failures up to then are raised together. The threads are daemons, so a step that hangs in a
    system call cannot keep the process alive.
    """
    finished: SimpleQueue[tuple[str, Any, BaseException | None]] = SimpleQueue()
    threads = [threading.Thread(target=_run, args=(n, s, finished), daemon=True, name=n) for n, s in steps.items()]
    results: dict[str, Any] = {}
    errors: list[BaseException] = []
    try:
        for thread in threads:
            thread.start()
        while len(results) < len(steps) and not errors:
            name, result, error = finished.get()
            results[name] = result
            errors += [error] if error else []
    finally:
        if len(results) < len(steps):
            cancelled.set()
        end_s = time.monotonic() + CANCEL_GRACE_S
        for thread in threads:
            # An interrupt may come while threads are started; one that was not cannot be joined.
            if thread.ident is not None:
                thread.join(max(0.0, end_s - time.monotonic()))
    while not finished.empty():
        errors += [e for e in [finished.get()[2]] if e is not None]
    return _results_or_raise(results, [e for e in errors if not isinstance(e, RunInterruptedError)])


def _run(name: str, step: Callable[[], Any], finished: SimpleQueue[Any]) -> None:
    try:
        finished.put((name, step(), None))
    except BaseException as error:  # noqa: BLE001  # carried to the caller's thread, where it is raised again
        finished.put((name, None, error))


def _results_or_raise(results: dict[str, Any], errors: list[BaseException]) -> dict[str, Any]:
    expected = [e for e in errors if isinstance(e, WorkflowError)]
    for error in errors:
        if not isinstance(error, WorkflowError):
            raise error
    if len(expected) > 1:
        raise MultipleFailuresError(expected)
    if expected:
        raise expected[0]
    return results
