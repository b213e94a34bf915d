"""The verdict: whether the model was as fast as its YAML wants, at the load that it wants it for."""

from __future__ import annotations

from collections.abc import Sequence

from tfs_workflow.config.types import Slo
from tfs_workflow.errors import ConfigError, NotGoodEnoughError
from tfs_workflow.quality.bench.result import Load, Point

# A rate counts as reached within this share: an open loop of 3 s has a request more or less.
_REACHED_SHARE = 0.99


def require_load(slo: Slo, loads: Sequence[Load], model: str) -> None:
    """Raise ConfigError where no load could show the rate that the SLO is for."""
    if all(0 < load.rate_per_s < slo.rate for load in loads):
        rates = ", ".join(str(load) for load in loads)
        raise ConfigError(
            f"the SLO is for {slo.rate:g} requests/s, which is not among the loads: {rates}",
            where=f"models.{model}.slo",
            fix=f"add the rate: --rate {slo.rate:g}",
        )


def meets(slo: Slo, point: Point) -> bool:
    """Whether this point shows it: the rate was reached, none of its requests failed, and p99 is short enough."""
    p99_ms = point.percentiles()["p99_ms"]
    return not point.failed and p99_ms is not None and p99_ms <= slo.p99_ms and _reaches(slo, point)


def verdict(slo: Slo, points: Sequence[Point]) -> str:
    """How the SLO was met, as text; raises NotGoodEnoughError where no point shows it.

    Open loops at the rate, where there are any, decide alone: a closed loop leaves out the requests that would have
    waited.
    """
    wanted = f"p99 of at most {slo.p99_ms:g} ms at {slo.rate:g} requests/s"
    judged = [point for point in points if point.load.rate_per_s >= slo.rate] or points
    if met := [point for point in judged if meets(slo, point)]:
        return f"met: {wanted}; {_seen(max(met, key=lambda point: point.per_s))}"
    best = max(judged, key=lambda point: (_reaches(slo, point), -point.failed, point.per_s))
    raise NotGoodEnoughError(
        f"missed: {wanted}",
        where="slo",
        evidence=_seen(best),
        fix="bench --advise tries batching; or give the server more processors, or the SLO another figure",
    )


def _reaches(slo: Slo, point: Point) -> bool:
    return point.per_s >= slo.rate * _REACHED_SHARE


def _seen(point: Point) -> str:
    p99_ms = point.percentiles()["p99_ms"]
    failed = f", {point.failed} failed" if point.failed else ""
    p99 = "none" if p99_ms is None else f"{p99_ms:g} ms"
    return f"at {point.load}: {point.per_s:.0f} requests/s, p99 {p99}{failed}"
