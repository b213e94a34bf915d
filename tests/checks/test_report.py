"""Findings come all at once, in their order, whatever one of them runs into."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfs_workflow.checks.finding import Finding, FindingStatus, exit_code, failed, ok, raise_first_failure, warning
from tfs_workflow.checks.runner import gathered
from tfs_workflow.errors import InvalidModelError, ServerNotReadyError


def test_topics_are_asked_at_the_same_time_and_told_in_their_order() -> None:
    meeting = threading.Barrier(2)

    def topic(name: str) -> Iterator[Finding]:
        meeting.wait(30)  # only who is asked together with the other gets past it
        yield ok(name, "there")

    found = gathered({"b": lambda: topic("b"), "a": lambda: topic("a")}, deadline_s=60)
    assert [f.check for f in found] == ["b", "a"]


def test_what_hangs_or_fails_is_a_finding_and_the_others_are_told() -> None:
    def hangs() -> list[Finding]:
        threading.Event().wait()
        return []

    def fails() -> list[Finding]:
        raise InvalidModelError("no version", where="m", evidence="nothing", fix="add one")

    def unreadable() -> list[Finding]:
        Path("/nowhere/at/all").read_text()
        return []

    found = gathered({"h": hangs, "f": fails, "u": unreadable, "g": lambda: [ok("g", "")]}, deadline_s=0.2)
    assert [(f.check, f.status.value) for f in found] == [
        ("h", "warning"),
        ("f", "failure"),
        ("u", "warning"),
        ("g", "ok"),
    ]
    assert found[1].evidence == "m: no version (nothing)"
    assert found[1].fix == "add one"


def test_the_exit_code_is_that_of_the_first_failure() -> None:
    findings = [
        ok("a", ""),
        warning("b", "", ""),
        failed("c", ServerNotReadyError("x")),
        failed("d", InvalidModelError("y")),
    ]
    assert exit_code(findings) == 5
    assert exit_code(findings[:2]) == 0
    with pytest.raises(ServerNotReadyError, match="x"):
        raise_first_failure(findings)
    raise_first_failure(findings[:2])
    assert [f.status for f in findings[:2]] == [FindingStatus.OK, FindingStatus.WARNING]
