"""The verdict: met only where the rate was reached, nothing failed, and p99 is short enough."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tfs_workflow.config.types import Slo
from tfs_workflow.errors import ConfigError, NotGoodEnoughError
from tfs_workflow.quality.bench.histogram import encoded
from tfs_workflow.quality.bench.result import ClientUse, Load, Point
from tfs_workflow.quality.bench.slo import require_load, verdict

SLO = Slo(p99_ms=20, rate=500)


def point(load: Load, per_s: float, latency_ms: float, errors: int = 0, client: ClientUse | None = None) -> Point:
    made = Point(load, answered=int(per_s), seconds=1, errors=Counter({"HTTP 500: x": errors} if errors else {}))
    made.client = client or ClientUse()
    made.latencies.add(encoded({int(latency_ms * 1000): int(per_s)}))
    return made


def test_it_is_met_by_one_load_that_shows_it() -> None:
    text = verdict(SLO, [point(Load(1), 300, 3), point(Load(512, 500), 499, 12), point(Load(512, 1000), 900, 80)])
    assert re.search(r"^met: .* at 500/s: 499 requests/s, p99 (11|12)", text)


def test_a_closed_loop_does_not_make_up_for_an_open_one_at_the_rate() -> None:
    with pytest.raises(NotGoodEnoughError) as caught:
        verdict(SLO, [point(Load(16), 9000, 2), point(Load(512, 500), 500, 31)])
    assert caught.value.evidence.startswith("at 500/s: ")
    assert "at 16 connections" in verdict(SLO, [point(Load(16), 9000, 2)])


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        (point(Load(512, 500), 500, 31), "p99 31"),
        (point(Load(512, 500), 420, 5), "420 requests/s"),
        (point(Load(512, 500), 500, 5, errors=1), "1 failed"),
        (point(Load(512, 500), 200, 5, client=ClientUse(busiest=0.97)), "p99 none"),
    ],
    ids=["too slow", "too few", "an error", "not the server's latencies"],
)
def test_it_is_missed_with_what_was_seen(shown: Point, seen: str) -> None:
    with pytest.raises(NotGoodEnoughError) as caught:
        verdict(SLO, [shown])
    assert caught.value.exit_code == 8
    assert seen in caught.value.evidence


def test_rates_below_that_of_the_slo_are_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="500 requests/s, which is not among the loads: 100/s, 200/s"):
        require_load(SLO, [Load(512, 100), Load(512, 200)], "m")
    require_load(SLO, [Load(512, 100), Load(512, 500)], "m")
    require_load(SLO, [Load(16)], "m")
