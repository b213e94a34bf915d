"""Findings as tests look at them."""

from __future__ import annotations

from collections.abc import Iterable

from tfs_workflow.checks.finding import Finding, FindingStatus


def statuses(findings: Iterable[Finding]) -> dict[str, str]:
    """FindingStatus by the check's name, for all that is not ok."""
    return {f.check: f.status.value for f in findings if f.status is not FindingStatus.OK}


def one(findings: Iterable[Finding], check: str) -> Finding:
    """The finding of one check."""
    (found,) = [f for f in findings if f.check == check]
    return found


def is_ok(findings: Iterable[Finding]) -> bool:
    """Whether there are findings, and nothing but good ones."""
    listed = list(findings)
    return bool(listed) and all(f.status is FindingStatus.OK for f in listed)
