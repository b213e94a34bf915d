"""A result is the same after a way through a file; what the generator itself limits is said."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.quality.bench.test_slo import point
from tfs_workflow.errors import ConfigError
from tfs_workflow.quality.bench import table
from tfs_workflow.quality.bench.result import BenchResult, ClientUse, Interval, Load, ServerUse
from tfs_workflow.quality.bench.saved import read_saved, write_saved


def result(*, per_s: float = 1000, latency_ms: float = 4) -> BenchResult:
    one = point(Load(16), per_s, latency_ms, errors=2)
    one.timeline = [Interval(0.25, 1000.0, 4.0, 4.0, 0)]
    one.server = ServerUse(0.5, 300_000_000)
    return BenchResult("m", "newest", "rest", 3, "embedded", [one, point(Load(512, 200), 200, 2)], {"a_total": 2.0})


def test_a_saved_result_reads_as_it_was(tmp_path: Path) -> None:
    write_saved(tmp_path / "r.json", result())
    assert read_saved(tmp_path / "r.json").document() == result().document()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": 3}', json.dumps({"model": "m"}), "\0"])
def test_a_file_that_is_no_saved_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ConfigError, match=r"r\.json: holds no saved bench"):
        read_saved(tmp_path / "r.json")


def test_a_saved_result_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read"):
        read_saved(tmp_path / "none.json")


def test_ratios_are_of_the_same_load_and_a_load_that_only_one_has_is_said() -> None:
    now, before = result(per_s=1500, latency_ms=2), result()
    del before.points[1]
    assert table.comparison_document(now, before)["16 connections"] == pytest.approx(
        {"requests_per_s": 1.5, "p50_ms": 0.5, "p99_ms": 0.5, "max_ms": 0.5}, rel=2e-3
    )
    assert "200/s: only in one of the two" in list(table.comparison(now, before))


def test_the_table_has_a_row_for_each_load_and_the_errors_follow() -> None:
    heads, first, second = table.rows(result().points)
    assert len(heads) == len(first) == len(second)
    assert first[:3] == ["16 connections", "1000", "4.00"]
    assert dict(zip(heads, first, strict=True))["failed"] == "2"
    assert list(table.remarks(result().points)) == ["16 connections: 2 times: HTTP 500: x"]


def test_a_busy_generator_names_its_ceiling() -> None:
    shown = point(Load(64), 18_000, 3, client=ClientUse(cores=0.9, busiest=0.9))
    assert "used 90% of a core" in shown.note()
    assert "its own ceiling is about 20000/s" in shown.note()
    assert shown.percentiles()["p99_ms"] is not None


def test_a_generator_that_cannot_reach_the_rate_shows_no_latency_of_its_own() -> None:
    shown = point(Load(512, 50_000), 18_000, 300, client=ClientUse(cores=0.98, busiest=0.98))
    assert shown.is_client_late
    assert "latencies are left out" in shown.note()
    assert set(shown.percentiles().values()) == {None}
    behind = point(Load(512, 50_000), 18_000, 300, client=ClientUse(busiest=0.5, waiting=0.5, behind_s=0.4))
    assert behind.is_client_late
    assert "waited 50% of the time for one: it cannot send so many" in behind.note()


def test_a_server_that_cannot_reach_the_rate_keeps_its_latencies() -> None:
    shown = point(Load(512, 5_000), 3_000, 300, client=ClientUse(cores=0.2, busiest=0.2))
    assert not shown.is_client_late
    assert shown.note() == ""
    assert shown.percentiles()["p99_ms"] == pytest.approx(300, rel=2e-3)


def test_a_generator_that_waits_for_a_processor_or_is_late_says_so() -> None:
    assert (
        "waited 40% of the time for one: latencies include that"
        in point(Load(4), 100, 3, client=ClientUse(busiest=0.5, waiting=0.4)).note()
    )
    assert "sent 7% of the requests late" in point(Load(4), 100, 3, client=ClientUse(late_share=0.07)).note()


def test_failures_are_errors_and_what_is_unanswered() -> None:
    shown = point(Load(512, 100), 90, 3, errors=4)
    shown.unanswered = 6
    assert shown.failed == 10
    assert shown.errors == Counter({"HTTP 500: x": 4})
    assert "6 requests were due and not answered" in " ".join(table.remarks([shown]))
