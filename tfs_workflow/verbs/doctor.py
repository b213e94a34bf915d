"""invoke doctor: every finding as a table or as JSON, with an exit code that says what kind of failure there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tfs_workflow import console
from tfs_workflow.checks.report import Finding, Status, exit_code
from tfs_workflow.verbs.edge import Options, reported_errors
from tfs_workflow.workflow.doctor import doctor as examined


def doctor(options: Options) -> None:
    """Show what every check found; ends with the code of the first failure's kind."""
    with reported_errors(options.verbose):
        findings = examined(options.config or None)
        if options.json:
            console.result_json(_document(findings))
        else:
            console.table(list(_rows(findings)))
        if code := exit_code(findings):
            sys.exit(code)


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, str, str]]:
    """A heading, a row a finding, and below what is not ok its fix."""
    counts = ", ".join(_counted(findings, status) for status in (Status.FAILURE, Status.WARNING))
    yield "", "check", counts
    for finding in findings:
        yield finding.status.value, finding.check, " ".join(finding.evidence.split())
        if finding.status is not Status.OK and finding.fix:
            yield "", "", f"fix: {finding.fix}"


def _document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "failures": _count(findings, Status.FAILURE),
        "warnings": _count(findings, Status.WARNING),
        "findings": [
            {"check": f.check, "status": f.status.value, "evidence": f.evidence, "fix": f.fix} for f in findings
        ],
    }


def _counted(findings: Sequence[Finding], status: Status) -> str:
    count = _count(findings, status)
    return f"{count} {status.value}" + "s" * (count != 1)


def _count(findings: Sequence[Finding], status: Status) -> int:
    return sum(finding.status is status for finding in findings)
