"""Which batching is tried, which is the best for the SLO, and when none is worth it."""

from __future__ import annotations

import pytest
import yaml

from tests.quality.bench.test_slo import point
from tfs_workflow.config.types import Batching, Slo
from tfs_workflow.quality.bench.advice import Candidate, best_of, grid, helps, name_of, seen, yaml_block
from tfs_workflow.quality.bench.result import Load

SMALL, LARGE = Batching(max_batch_size=8), Batching(max_batch_size=128, batch_timeout_micros=5000)
CLOSED, OPEN = Load(16), Load(512, 500)


def candidate(
    batching: Batching | None, per_s: float, latency_ms: float, load: Load = CLOSED, errors: int = 0
) -> Candidate:
    return Candidate(batching, point(load, per_s, latency_ms, errors))


def test_the_grid_begins_without_batching_and_has_what_the_yaml_has() -> None:
    now = Batching(max_batch_size=17)
    made = grid(3, 4, now)
    assert made[:2] == [None, now]
    assert len(made) == 11
    assert {one.num_batch_threads for one in made[2:] if one} == {4}


def test_no_batch_is_smaller_than_a_request() -> None:
    assert {one.max_batch_size for one in grid(32, 2, None) if one} == {32, 128}
    assert {one.max_batch_size for one in grid(500, 2, None) if one} == {500}


def test_in_a_closed_loop_the_most_answers_are_the_best() -> None:
    tried = [candidate(None, 1000, 5), candidate(SMALL, 1500, 9), candidate(LARGE, 3000, 30)]
    assert best_of(tried, None) is tried[2]
    assert helps(tried[2], tried[0], None)


def test_an_slo_excludes_what_is_too_slow_for_it() -> None:
    tried = [candidate(None, 1000, 5), candidate(SMALL, 1500, 9), candidate(LARGE, 3000, 30)]
    assert best_of(tried, Slo(p99_ms=10, rate=500)) is tried[1]


def test_in_an_open_loop_whose_rate_is_given_the_soonest_answers_are_the_best() -> None:
    tried = [candidate(None, 500, 9, OPEN), candidate(SMALL, 500, 4, OPEN), candidate(LARGE, 500, 8, OPEN)]
    assert best_of(tried, None) is tried[1]
    assert helps(tried[1], tried[0], None)


def test_what_fails_is_never_the_best() -> None:
    tried = [candidate(None, 1000, 5), candidate(LARGE, 3000, 3, errors=7)]
    assert best_of(tried, None) is tried[0]


def test_a_small_gain_is_not_worth_it_unless_the_slo_needs_it() -> None:
    without, best = candidate(None, 1000, 5.2), candidate(SMALL, 1040, 4.9)
    assert not helps(best, without, None)
    assert helps(best, without, Slo(p99_ms=5, rate=500))
    assert not helps(without, without, None)


@pytest.mark.parametrize(
    "batching", [SMALL, LARGE, Batching(batch_timeout_micros=0), Batching(max_batch_size=4, allowed_batch_sizes=(2, 4))]
)
def test_the_block_is_what_the_yaml_takes(batching: Batching) -> None:
    read = yaml.safe_load("\n".join(yaml_block(batching)))
    assert Batching(**read["server"]["batching"]) == batching


def test_figures_in_words() -> None:
    assert name_of(None) == "no batching"
    assert seen(candidate(LARGE, 3000, 30)).startswith("128 rows, 5 ms: 3000 requests/s, p99 ")
