"""A finding, which is what one check answers: ok, warning or failure, with its evidence and its fix.

A check neither prints nor raises: it returns what it found with evidence and the way on. The same finding can be a line
of doctor, an entry of its JSON, or an error that stops setup. `kind` ties it to the exit code that this error would
have, so that doctor's exit code foretells that of setup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tfs_workflow.errors import WorkflowError


class FindingStatus(str, Enum):
    """What a check answers."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """One answer; `kind` is the error that the same thing would be in setup or serve, and gives the exit code."""

    check: str
    status: FindingStatus
    evidence: str
    fix: str = ""
    kind: type[WorkflowError] = WorkflowError


def ok(check: str, evidence: str) -> Finding:
    """A check that passed, with its evidence."""
    return Finding(check, FindingStatus.OK, evidence)


def warning(check: str, evidence: str, fix: str) -> Finding:
    """A fault that setup and serve survive, but with another result than the user may expect."""
    return Finding(check, FindingStatus.WARNING, evidence, fix)


def failure(check: str, evidence: str, fix: str, kind: type[WorkflowError]) -> Finding:
    """A fault that stops setup or serve until it is fixed."""
    return Finding(check, FindingStatus.FAILURE, evidence, fix, kind)


def failed(check: str, error: WorkflowError) -> Finding:
    """An error that setup or serve would end with, as the finding that comes before it."""
    where = f"{error.where}: " if error.where else ""
    evidence = f"{where}{error.what}" + (f" ({error.evidence})" if error.evidence else "")
    return failure(check, evidence, error.fix, type(error))


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without a failure, else the code of the first one's kind."""
    return next((f.kind.exit_code for f in findings if f.status is FindingStatus.FAILURE), 0)


def raise_first_failure(findings: Iterable[Finding]) -> None:
    """The first failure as the error that it is, for a step that must not begin with one."""
    for found in findings:
        if found.status is FindingStatus.FAILURE:
            raise found.kind(found.evidence, where=found.check, fix=found.fix)
