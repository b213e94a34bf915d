"""A finding, which is what one check answers: ok, warning or failure, with its evidence and its fix."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from tfs_workflow.errors import WorkflowError

T = TypeVar("T")


class Status(str, Enum):
    """What a check answers."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """One answer; `kind` is the error that the same thing would be in setup or serve, and gives the exit code."""

    check: str
    status: Status
    evidence: str
    fix: str = ""
    kind: type[WorkflowError] = WorkflowError


def ok(check: str, evidence: str) -> Finding:
    """All is well, and how we know."""
    return Finding(check, Status.OK, evidence)


def warning(check: str, evidence: str, fix: str) -> Finding:
    """It will work, but not as the user may think."""
    return Finding(check, Status.WARNING, evidence, fix)


def failure(check: str, evidence: str, fix: str, kind: type[WorkflowError]) -> Finding:
    """It cannot work until the fix is made."""
    return Finding(check, Status.FAILURE, evidence, fix, kind)


def failed(check: str, error: WorkflowError) -> Finding:
    """An error that setup or serve would end with, as the finding that comes before it."""
    where = f"{error.where}: " if error.where else ""
    evidence = f"{where}{error.what}" + (f" ({error.evidence})" if error.evidence else "")
    return failure(check, evidence, error.fix, type(error))


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without a failure, else the code of the first one's kind."""
    return next((f.kind.exit_code for f in findings if f.status is Status.FAILURE), 0)


def raise_first_failure(findings: Iterable[Finding]) -> None:
    """The first failure as the error that it is, for a step that must not begin with one."""
    for found in findings:
        if found.status is Status.FAILURE:
            raise found.kind(found.evidence, where=found.check, fix=found.fix)


def in_background(question: Callable[[], T]) -> Future[T]:
    """The answer to come, asked in a thread that cannot keep the process alive."""
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # noqa: BLE001  # carried to whoever takes the answer
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return answer


def gathered(topics: Mapping[str, Callable[[], Iterable[Finding]]], deadline_s: float) -> list[Finding]:
    """The findings of all topics, asked at the same time and told in the order given; what hangs is a warning."""
    answers = {name: in_background(lambda ask=ask: list(ask())) for name, ask in topics.items()}  # type: ignore[misc]
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
