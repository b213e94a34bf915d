"""invoke doctor: every finding as a table or as JSON, with an exit code that says what kind of failure there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfs_workflow import errors
from tfs_workflow.checks.finding import Finding, FindingStatus, exit_code
from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors
from tfs_workflow.cli.lifecycle.logs import show_line
from tfs_workflow.health.diagnosis import marked

if TYPE_CHECKING:
    from tfs_workflow.state.records import FailureRecord

SHOWN_LINES = 20


def doctor(options: CommandOptions, *, after: bool = False) -> None:
    """Show what every check found; with `after`, explain the last failure instead."""
    (_explain_last_failure if after else _examine)(options)


def _examine(options: CommandOptions) -> None:
    """Show what every check found; ends with the code of the first failure's kind."""
    from tfs_workflow.checks.examination import doctor as examined  # noqa: PLC0415  # the checks cost as much as the rest

    with reported_errors(options):
        findings = examined(options.config or None)
        if options.json:
            console.result_json(_document(findings))
        else:
            console.table(list(_rows(findings)))
        if code := exit_code(findings):
            sys.exit(code)


def _explain_last_failure(options: CommandOptions) -> None:
    """Explain the project's last failure; ends with the code of what is not ready when there was one."""
    from tfs_workflow.workflow.failures import last_failure  # noqa: PLC0415

    with project_command(options) as loaded:
        failure = last_failure(loaded)
        if options.json:
            console.result_json({"failed": failure is not None} | (asdict(failure) if failure else {}))
        elif failure is None:
            console.result("nothing failed")
        else:
            _show(failure)
        if failure is not None:
            sys.exit(errors.ServerNotReadyError.exit_code)


def _show(failure: FailureRecord) -> None:
    ended = f"exit code {failure.exit_code}" if failure.exit_code is not None else ""
    console.result("  ".join(filter(None, [failure.at, failure.runtime, ended, failure.diagnosis])))
    error = errors.ServerNotReadyError(failure.what, where=failure.where, evidence=failure.evidence, fix=failure.fix)
    console.result(str(error))
    if failure.lines:
        console.result("the last lines of its log:")
    for line, row in marked(failure.lines[-SHOWN_LINES:]):
        show_line(line, is_telling=row is not None)


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, str, str]]:
    """A heading, a row a finding, and below what is not ok its fix."""
    counts = ", ".join(_counted(findings, status) for status in (FindingStatus.FAILURE, FindingStatus.WARNING))
    yield "", "check", counts
    for finding in findings:
        yield finding.status.value, finding.check, " ".join(finding.evidence.split())
        if finding.status is not FindingStatus.OK and finding.fix:
            yield "", "", f"fix: {finding.fix}"


def _document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "failures": _count(findings, FindingStatus.FAILURE),
        "warnings": _count(findings, FindingStatus.WARNING),
        "findings": [
            {"check": f.check, "status": f.status.value, "evidence": f.evidence, "fix": f.fix} for f in findings
        ],
    }


def _counted(findings: Sequence[Finding], status: FindingStatus) -> str:
    count = _count(findings, status)
    return f"{count} {status.value}" + "s" * (count != 1)


def _count(findings: Sequence[Finding], status: FindingStatus) -> int:
    return sum(finding.status is status for finding in findings)
