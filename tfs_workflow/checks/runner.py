"""Asks all checks at the same time and has all findings at once, whatever hangs or fails.

Some checks block in the kernel for minutes, as a stat on a network drive without its server does. A thread in such a
call cannot be ended. So each topic has a daemon thread, all share one deadline, and what has not returned by then
becomes a warning in its place. The process can end although threads still hang; an executor of concurrent.futures would
wait for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import TypeVar

from tfs_workflow.checks.finding import Finding, failed, warning
from tfs_workflow.errors import WorkflowError

T = TypeVar("T")


def in_background(question: Callable[[], T]) -> Future[T]:
    """A future of the result, computed in a daemon thread, which cannot keep the process alive."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # noqa: BLE001  # carried to whoever takes the answer
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer


def gathered(topics: Mapping[str, Callable[[], Iterable[Finding]]], deadline_s: float) -> list[Finding]:
    """The findings of all topics, run at the same time and returned in the order given; one that hangs is a warning.

    `deadline_s` is for all topics together. An error of the program itself is raised, any other becomes a finding.
    """
    answers = {name: in_background(lambda topic=topic: list(topic())) for name, topic in topics.items()}  # type: ignore[misc]
    end_s = time.monotonic() + deadline_s
    return [finding for name, answer in answers.items() for finding in _taken(name, answer, end_s)]


def _taken(name: str, answer: Future[list[Finding]], end_s: float) -> list[Finding]:
    try:
        return answer.result(max(0.0, end_s - time.monotonic()))
    except NotInTime:
        return [warning(name, "no answer in time", "see whether a network drive or an engine hangs, then try again")]
    except WorkflowError as error:
        return [failed(name, error)]
    except OSError as error:
        return [warning(name, f"could not be checked: {error}", "see to what the evidence names, then try again")]
