"""Which batching parameters are worth a try, and which of those that were tried is the best."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfs_workflow.config.types import Batching, Slo
from tfs_workflow.quality.bench.result import Point
from tfs_workflow.quality.bench.slo import meets

_SIZES = (8, 32, 128)
_TIMEOUTS_US = (0, 1000, 5000)
# A smaller gain than this is within what two runs of the same server differ by.
_WORTHWHILE = 1.1
_HEADS = ("batching", "requests/s", "p50", "p90", "p99", "p99.9", "max ms", "failed", "server")


@dataclass(frozen=True)
class Candidate:
    """Batching parameters, None for none, and what the load gave with them."""

    batching: Batching | None
    point: Point

    def __str__(self) -> str:
        return name_of(self.batching)

    def document(self) -> dict[str, Any]:
        """The candidate as a JSON document."""
        return {"batching": self.batching.model_dump(exclude_none=True) if self.batching else None} | (
            self.point.document()
        )


def name_of(batching: Batching | None) -> str:
    """The parameters that the candidates differ in, in few words."""
    if batching is None:
        return "no batching"
    return f"{batching.max_batch_size} rows, {batching.batch_timeout_micros / 1000:g} ms"


def grid(rows: int, processors: int, now: Batching | None) -> list[Batching | None]:
    """None first, then what the YAML has, then batches of at least a request's rows with each wait."""
    sizes = [size for size in _SIZES if size >= rows] or [rows]
    made: list[Batching | None] = [
        Batching(
            max_batch_size=size,
            batch_timeout_micros=timeout_us,
            # Enough for every request of the load to wait: a refusal would say nothing about batching.
            max_enqueued_batches=1000,
            num_batch_threads=max(1, processors),
        )
        for size in sizes
        for timeout_us in _TIMEOUTS_US
    ]
    return [None, *([now] if now and now not in made else []), *made]


def best_of(candidates: Sequence[Candidate], slo: Slo | None) -> Candidate:
    """The one that meets the SLO, fails least, and answers most; in an open loop, whose rate is given, soonest."""
    return max(candidates, key=lambda one: _merit(one, slo))


def helps(best: Candidate, without: Candidate, slo: Slo | None) -> bool:
    """Whether the best is worth it, against the server without batching; of one round, in which chance may be."""
    if best.batching is None:
        return False
    if slo and meets(slo, best.point) and not meets(slo, without.point):
        return True
    return _gain(best.point, without.point) >= _WORTHWHILE


def rows_of_table(candidates: Sequence[Candidate]) -> list[list[str]]:
    """The table, its heading first."""
    return [list(_HEADS), *(_row(one) for one in candidates)]


def yaml_block(batching: Batching) -> Iterator[str]:
    """The lines to paste into the YAML."""
    yield "server:"
    yield "  batching:"
    for key, value in batching.model_dump(mode="json", exclude_none=True).items():
        yield f"    {key}: {json.dumps(value)}"


def seen(candidate: Candidate) -> str:
    """One candidate's figures as text."""
    p99_ms = candidate.point.percentiles()["p99_ms"]
    return f"{candidate}: {candidate.point.per_s:.0f} requests/s, p99 {'none' if p99_ms is None else f'{p99_ms:g} ms'}"


def _row(one: Candidate) -> list[str]:
    point = one.point
    figures = ("-" if value is None else f"{value:.2f}" for value in point.percentiles().values())
    cores = f"{point.server.cores:.2f} cores" if point.server else "-"
    return [str(one), f"{point.per_s:.0f}", *figures, str(point.failed), cores]


def _merit(one: Candidate, slo: Slo | None) -> tuple[bool, bool, float]:
    point = one.point
    meets_slo = slo is None or meets(slo, point)
    return meets_slo, not point.failed, -_p99_ms(point) if point.load.rate_per_s else point.per_s


def _gain(best: Point, without: Point) -> float:
    """How many times better: answers in a closed loop, p99 in an open one."""
    if best.load.rate_per_s:
        return _p99_ms(without) / max(_p99_ms(best), 1e-9)
    return best.per_s / max(without.per_s, 1e-9)


def _p99_ms(point: Point) -> float:
    p99_ms = point.percentiles()["p99_ms"]
    return float("inf") if p99_ms is None else p99_ms
