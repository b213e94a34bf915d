"""A short run of benchmarks/modelserver/chaos.py."""

from __future__ import annotations

from tests.support.modelserver.chaos import WAYS, chaos


def test_twenty_ends_leave_every_client_with_an_answer_or_the_documented_error() -> None:
    report = chaos(ends=20, seed=7)
    assert report.faults() == []
    assert sum(report.ends.values()) == 20
    assert len(report.ends) == len(set(WAYS))
    assert report.seen["right"] > 20 * 30
