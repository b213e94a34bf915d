"""The curves of a bench as plain lists, for whichever page or picture draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tfs_workflow.quality.bench import table
from tfs_workflow.quality.bench.histogram import CURVE
from tfs_workflow.quality.bench.result import BenchResult, Point


@dataclass(frozen=True)
class Line:
    """One line by the name of its load; a y of None is a gap."""

    name: str
    x: list[float]
    y: list[float | None]


@dataclass(frozen=True)
class Curves:
    """Everything that is drawn, and the table beside it.

    `percentiles` are latencies in milliseconds over the position of CURVE, `timeline` p99 in milliseconds over seconds;
    `per_s` and `p99_ms` are of each load in order.
    """

    title: str
    table: list[list[str]]
    remarks: list[str]
    loads: list[str]
    per_s: list[float]
    p99_ms: list[float | None]
    marks: list[str]
    percentiles: list[Line]
    timeline: list[Line]

    def document(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def curves_of(result: BenchResult) -> Curves:
    """The curves of a result."""
    points = result.points
    rows = f", {result.rows} rows a request" if result.rows else ""
    return Curves(
        title=f"{result.model} {result.version}: {result.runtime}, {result.transport}{rows}",
        table=table.rows(points),
        remarks=list(table.remarks(points)),
        loads=[str(point.load) for point in points],
        per_s=[round(point.per_s, 1) for point in points],
        p99_ms=[point.percentiles()["p99_ms"] for point in points],
        marks=[f"{percentile:g}" for percentile in CURVE],
        percentiles=[_percentiles(point) for point in points if _has_latencies(point)],
        timeline=[_timeline(point) for point in points if _has_latencies(point)],
    )


def _percentiles(point: Point) -> Line:
    """Only as far as there are requests: the percentile that one request decides says nothing."""
    deepest = 100 - 100 / max(point.latencies.count, 1)
    marks = [percentile for percentile in CURVE if percentile <= deepest] or [CURVE[0]]
    values: Sequence[float | None] = [round(value, 3) for value in point.latencies.percentiles_ms(marks)]
    return Line(str(point.load), [float(number) for number in range(len(marks))], list(values))


def _timeline(point: Point) -> Line:
    return Line(
        str(point.load),
        [one.at_s for one in point.timeline],
        [one.p99_ms if one.per_s else None for one in point.timeline],
    )


def _has_latencies(point: Point) -> bool:
    return bool(point.latencies.count) and not point.is_client_late
