"""invoke doctor: print every finding as a table or as JSON; the exit code is that of the first failure's kind."""

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
from tfs_workflow.cli.program_name import in_words_of_the_program
from tfs_workflow.health.diagnosis import marked

if TYPE_CHECKING:
    from tfs_workflow.state.records import FailureRecord

SHOWN_LINES = 20


def doctor(options: CommandOptions, *, after: bool = False, all: bool = False) -> None:  # its option
    """Show every finding, with `all` those that are ok as well; with `after`, explain the last failure instead."""
    if after:
        _explain_last_failure(options)
    else:
        _examine(options, all_=all)


def _examine(options: CommandOptions, *, all_: bool) -> None:
    """Show every finding; exits with the code of the first failure's kind."""
    from tfs_workflow.checks.examination import doctor as examine  # noqa: PLC0415  # the checks cost as much as the rest

    with reported_errors(options):
        findings = examine(options.config or None)
        if options.json:
            console.result_json(_document(findings))
        else:
            rows = list(_rows(findings, all_=all_))
            if len(rows) > 1:
                console.table(rows)
            console.result(_summary(findings, all_=all_))
        if code := exit_code(findings):
            sys.exit(code)


def _explain_last_failure(options: CommandOptions) -> None:
    """Explain the project's last failure; exits with ServerNotReadyError's code if there was one."""
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
    console.result(in_words_of_the_program(str(error)))
    if failure.lines:
        console.result("the last lines of its log:")
    for line, row in marked(failure.lines[-SHOWN_LINES:]):
        show_line(line, is_evidence=row is not None)


def _rows(findings: Sequence[Finding], *, all_: bool) -> Iterator[tuple[str, str, str]]:
    """A heading, and a row for each finding, failures first; the fix stands in a row below its finding."""
    yield "", "check", "found"
    for status in (FindingStatus.FAILURE, FindingStatus.WARNING, *([FindingStatus.OK] if all_ else [])):
        for finding in (one for one in findings if one.status is status):
            yield status.value, finding.check, in_words_of_the_program(" ".join(finding.evidence.split()))
            if status is not FindingStatus.OK and finding.fix:
                yield "", "", in_words_of_the_program(f"fix: {finding.fix}")


def _summary(findings: Sequence[Finding], *, all_: bool) -> str:
    counts = ", ".join(_counted(findings, status) for status in (FindingStatus.FAILURE, FindingStatus.WARNING))
    fine = f"{_count(findings, FindingStatus.OK)} ok"
    return f"{counts}, {fine}" + ("" if all_ else " (--all shows them)")


def _document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "failures": _count(findings, FindingStatus.FAILURE),
        "warnings": _count(findings, FindingStatus.WARNING),
        "findings": [_finding_document(finding) for finding in findings],
    }


def _finding_document(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "status": finding.status.value,
        "evidence": finding.evidence,
        "fix": in_words_of_the_program(finding.fix),
    }


def _counted(findings: Sequence[Finding], status: FindingStatus) -> str:
    count = _count(findings, status)
    return f"{count} {status.value}" + "s" * (count != 1)


def _count(findings: Sequence[Finding], status: FindingStatus) -> int:
    return sum(finding.status is status for finding in findings)
