"""Puts a load on a running server: starts the generators, shares the load among them, adds up what they report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from tfs_workflow.quality.bench.generator.orders import CONNECTION_LOST, GONE, STOPPED, Ending, Orders, Report
from tfs_workflow.quality.bench.generator_process import heard_of, started
from tfs_workflow.quality.bench.histogram import Latencies
from tfs_workflow.quality.bench.result import ClientUse, Interval, Load, Point, ServerUse
from tfs_workflow.quality.bench.server_usage import Usage

# How long generators that were told to stop have for their last words.
_STOP_S = 3.0
_INTERVAL_S = 0.25


@dataclass(frozen=True)
class Generators:
    """How a load is made: by so many processes, with these orders, and what is told about it meanwhile.

    `usage` looks at the server; `progress` is called with each interval.
    """

    orders: Orders
    processes: int = 1
    usage: Callable[[], Usage | None] = lambda: None
    progress: Callable[[Interval], None] = lambda interval: None  # noqa: ARG005

    def put(self, load: Load, point: Point) -> None:
        """Put this load on the server, and fill in the point; also when an interrupt cuts it short."""
        shares = _shares(self.orders, load, self.processes)
        with started(shares) as generators:
            collection = _Collection(point, len(shares), self.usage)
            try:
                for line in heard_of(generators):
                    if interval := collection.take(line):
                        self.progress(interval)
            except BaseException:
                point.is_partial = True
                for generator in generators:
                    generator.stop()
                for line in heard_of(generators, _STOP_S):
                    collection.take(line)
                raise
            finally:
                collection.finish()


@dataclass
class _Collection:
    """Adds up the reports of several generators."""

    point: Point
    generators: int
    usage: Callable[[], Usage | None]
    _endings: list[Ending] = field(default_factory=list)
    _now: Latencies = field(default_factory=Latencies)
    _reports: int = 0
    _answered: int = 0
    _errors: int = 0
    _late: int = 0
    _first: tuple[float, Usage | None] | None = None
    _memory_bytes: int = 0

    def take(self, said: Report | Ending) -> Interval | None:
        """Add what one generator said; an interval is complete when each of them has reported it."""
        if isinstance(said, Ending):
            self._endings.append(said)
            return None
        if self._first is None:
            self._first = (monotonic(), self.usage())
        self.point.answered += said.answered
        self.point.latencies.add(said.histogram)
        self.point.errors.update(said.errors)
        self._now.add(said.histogram)
        self._answered += said.answered
        self._late += said.late
        self._errors += sum(said.errors.values())
        self._reports += 1
        return self._interval(said.at_s) if self._reports % self.generators == 0 else None

    def _interval(self, at_s: float) -> Interval:
        before_s = self.point.timeline[-1].at_s if self.point.timeline else 0.0
        p50_ms, p99_ms = self._now.percentiles_ms((50.0, 99.0))
        per_s = self._answered / max(at_s - before_s, 1e-9)
        interval = Interval(round(at_s, 3), round(per_s, 1), p50_ms, p99_ms, self._errors)
        # The last report, after the grace of an open loop, ends where the one before did.
        if at_s - before_s >= _INTERVAL_S / 2:
            self.point.timeline.append(interval)
            self._now, self._answered, self._errors = Latencies(), 0, 0
        return interval

    def finish(self) -> None:
        """Fill in what is known at the end only."""
        point, endings = self.point, self._endings
        point.server = self._server_use()
        if not endings:
            point.is_partial = True
            return
        point.seconds = max(one.wall_s for one in endings)
        point.unanswered = sum(one.unanswered for one in endings)
        gone = [one for one in endings if one.how == GONE]
        point.gone = next((one.evidence for one in gone), "") or (CONNECTION_LOST if gone else "")
        point.is_partial = point.is_partial or any(one.how in (GONE, STOPPED) for one in endings)
        point.client = _client_use(endings, point, self._late)

    def _server_use(self) -> ServerUse | None:
        last = self.usage()
        since_s, first = self._first or (0.0, None)
        if first is None or last is None:
            return None
        cores = (last.cpu_s - first.cpu_s) / max(monotonic() - since_s, 1e-9)
        return ServerUse(round(cores, 3), max(first.memory_bytes, last.memory_bytes))


def _client_use(endings: Sequence[Ending], point: Point, late: int) -> ClientUse:
    sent = point.latencies.count + point.errors.total()
    cores = [(one.cpu_s / one.wall_s, one.waited_s / one.wall_s) for one in endings if one.wall_s] or [(0.0, 0.0)]
    busiest, waiting = max(cores)
    return ClientUse(
        processes=len(endings),
        cores=sum(used for used, _ in cores),
        busiest=busiest,
        waiting=waiting,
        late_share=late / sent if sent else 0,
        behind_s=max(one.behind_s for one in endings),
    )


def _shares(orders: Orders, load: Load, processes: int) -> list[Orders]:
    """The part of each generator: connections and rate are shared evenly, and the moments interleaved."""
    count = min(processes, load.connections)
    rate = load.rate_per_s / count
    shared = [load.connections // count + (number < load.connections % count) for number in range(count)]
    return [
        replace(
            orders,
            connections=connections,
            rate_per_s=rate,
            first_due_s=number / load.rate_per_s if load.rate_per_s else 0,
        )
        for number, connections in enumerate(shared)
    ]
