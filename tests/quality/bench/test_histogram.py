"""Percentiles are right, also of several histograms together and after a way through text."""

from __future__ import annotations

import pytest

from tfs_workflow.quality.bench.histogram import Latencies, encoded


def test_percentiles_are_those_of_the_values() -> None:
    latencies = Latencies()
    latencies.add(encoded(dict.fromkeys(range(1000, 101_000, 1000), 1)))
    assert latencies.count == 100
    assert latencies.percentiles_ms((50.0, 90.0, 99.0)) == pytest.approx([50, 90, 99], rel=2e-3)
    assert latencies.max_ms == pytest.approx(100, rel=2e-3)


def test_the_percentiles_of_two_processes_are_those_of_all_their_requests_not_a_mean() -> None:
    latencies = Latencies()
    latencies.add(encoded({1000: 99}))
    latencies.add(encoded({500_000: 1}))
    p50_ms, p99_ms = latencies.percentiles_ms((50.0, 99.0))
    assert (p50_ms, p99_ms) == pytest.approx((1, 1), rel=2e-3)
    assert latencies.max_ms == pytest.approx(500, rel=2e-3)


def test_a_histogram_survives_as_text() -> None:
    latencies, again = Latencies(), Latencies()
    latencies.add(encoded({250: 3, 7_000: 2}))
    again.add(latencies.text())
    assert again.count == 5
    assert again.percentiles_ms((50.0, 99.0)) == latencies.percentiles_ms((50.0, 99.0))


def test_no_latency_at_all_has_no_percentile_above_zero() -> None:
    latencies = Latencies()
    latencies.add(encoded({}))
    assert (latencies.count, latencies.max_ms, latencies.percentiles_ms((50.0,))) == (0, 0.0, [0.0])


def test_a_latency_out_of_range_is_kept_at_the_end_of_the_range() -> None:
    latencies = Latencies()
    latencies.add(encoded({0: 1, 10**12: 1}))
    assert latencies.count == 2
    assert latencies.max_ms == pytest.approx(3_600_000, rel=2e-3)
