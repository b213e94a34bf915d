"""A bench as text: a table of its points, what went wrong in them, and how it compares with another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tfs_workflow.quality.bench.result import BenchResult, Load, Point

_HEADS = ("load", "requests/s", "p50", "p90", "p99", "p99.9", "max ms", "failed", "server", "memory", "client")
_COMPARED = ("p50_ms", "p99_ms", "max_ms")


def rows(points: Sequence[Point]) -> list[list[str]]:
    """The table, its heading first: latencies in milliseconds, processor time in cores."""
    return [list(_HEADS), *(_row(point) for point in points)]


def _row(point: Point) -> list[str]:
    server = point.server
    return [
        str(point.load) + (" (partial)" if point.is_partial else ""),
        f"{point.per_s:.0f}",
        *("-" if value is None else f"{value:.2f}" for value in point.percentiles().values()),
        str(point.failed),
        f"{server.cores:.2f} cores" if server else "-",
        f"{server.memory_bytes / 1e6:.0f} MB" if server else "-",
        f"{point.client.cores:.2f} cores",
    ]


def remarks(points: Sequence[Point]) -> Iterator[str]:
    """A line for each kind of error, and for each point that the load generator itself limits."""
    for point in points:
        for text, count in point.errors.most_common():
            yield f"{point.load}: {count} times: {text}"
        if point.unanswered:
            yield f"{point.load}: {point.unanswered} requests were due and not answered by the end"
        if note := point.note():
            yield f"{point.load}: {note}"


def comparison(now: BenchResult, before: BenchResult) -> Iterator[str]:
    """The ratios of each load that both have, now to before; and the loads that only one has."""
    former = {point.load: point for point in before.points}
    for point in now.points:
        if other := former.get(point.load):
            yield f"{point.load}: {_ratios(point, other)}"
    common = {point.load for point in now.points} & set(former)
    yield from (f"{load}: only in one of the two" for load in _others(now, before, common))


def comparison_document(now: BenchResult, before: BenchResult) -> dict[str, dict[str, float]]:
    """The ratios of each load that both have, by its name."""
    former = {point.load: point for point in before.points}
    return {str(point.load): ratios(point, former[point.load]) for point in now.points if point.load in former}


def grown(metrics: Mapping[str, float]) -> Iterator[str]:
    """A line for each counter of requests by which the server itself tells what it did."""
    for name, value in metrics.items():
        if "request_count" in name:
            yield f"server's own count: {name} + {value:.0f}"


def ratios(now: Point, before: Point) -> dict[str, float]:
    """Requests per second and latencies, now to before; without those that either lacks."""
    found = {"requests_per_s": now.per_s / before.per_s} if before.per_s else {}
    a, b = now.percentiles(), before.percentiles()
    for name in _COMPARED:
        ours, theirs = a[name], b[name]
        if ours is not None and theirs:
            found[name] = ours / theirs
    return {name: round(value, 3) for name, value in found.items()}


def _ratios(now: Point, before: Point) -> str:
    names = {"requests_per_s": "requests/s", "p50_ms": "p50", "p99_ms": "p99", "max_ms": "max"}
    return ", ".join(f"{names[name]} {value:.2f} times" for name, value in ratios(now, before).items())


def _others(now: BenchResult, before: BenchResult, common: set[Load]) -> list[Load]:
    return [point.load for point in (*now.points, *before.points) if point.load not in common]
