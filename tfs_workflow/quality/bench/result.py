"""What a bench measured, as values; the documents of --json and --save are made from them and read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tfs_workflow.quality.bench.histogram import PERCENTILES, Latencies

# Above this share of a core, the load generator may be what is measured.
BUSY_SHARE = 0.8
# An open loop fell short where it is behind by more than this share of its time, or of its rate.
_SHORT_SHARE = 0.02
# A generator that was never idle may have had answers to read that it took for unanswered.
_NEVER_IDLE_SHARE = 0.9
# More requests that were sent late than this share show in the percentiles.
_LATE_SHARE = 0.01
_NAMES = ("p50_ms", "p90_ms", "p99_ms", "p999_ms")


@dataclass(frozen=True)
class Load:
    """A closed loop of so many connections, or an open loop of so many requests per second over at most so many."""

    connections: int
    rate_per_s: float = 0

    def __str__(self) -> str:
        if self.rate_per_s:
            return f"{self.rate_per_s:g}/s"
        return f"{self.connections} connection{'s' if self.connections > 1 else ''}"


@dataclass(frozen=True)
class Interval:
    """A quarter of a second: when it ended, and what was answered in it."""

    at_s: float
    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass(frozen=True)
class ClientUse:
    """What the load generator cost, as shares of a core: all its processes, and the busiest one.

    That one was ready to run without a processor for the share `waiting`. `late_share` of the requests were sent late
    by its own fault; it was `behind_s` seconds behind its rate at the end.
    """

    processes: int = 1
    cores: float = 0
    busiest: float = 0
    waiting: float = 0
    late_share: float = 0
    behind_s: float = 0


@dataclass(frozen=True)
class ServerUse:
    """What the server took meanwhile: cores of processor time, and its largest memory seen, in bytes."""

    cores: float
    memory_bytes: int


@dataclass
class Point:
    """What one load gave; `is_partial` where it was cut short, by an interrupt or by the end of the server."""

    load: Load
    latencies: Latencies = field(default_factory=Latencies)
    answered: int = 0
    seconds: float = 0
    errors: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    timeline: list[Interval] = field(default_factory=list)
    client: ClientUse = ClientUse()
    server: ServerUse | None = None
    is_partial: bool = False
    gone: str = ""

    @property
    def per_s(self) -> float:
        """Requests per second that were answered well."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        """Requests that were refused, lost, or not answered by the end."""
        return self.errors.total() + self.unanswered

    @property
    def is_client_late(self) -> bool:
        """Whether the generator could not offer the rate, so that the latencies would be its own."""
        use = self.client
        is_short = self.per_s < self.load.rate_per_s * (1 - _SHORT_SHARE)
        never_idle = use.busiest + use.waiting > _NEVER_IDLE_SHARE
        return is_short and (never_idle or use.behind_s > _SHORT_SHARE * self.seconds)

    def note(self) -> str:
        """Where the load generator itself is the limit, or may be; empty where it is not."""
        use = self.client
        use_text = (
            f"the load generator used {use.busiest:.0%} of a core and waited {use.waiting:.0%} of the time for one"
        )
        if self.is_client_late:
            return f"{use_text}: it cannot send so many{self._ceiling()}, and its latencies are left out"
        if use.busiest > BUSY_SHARE:
            return f"{use_text}{self._ceiling()}"
        if use.busiest + use.waiting > BUSY_SHARE:
            return f"{use_text}: latencies include that"
        if use.late_share > _LATE_SHARE:
            return f"the load generator sent {use.late_share:.0%} of the requests late: latencies include that"
        return ""

    def _ceiling(self) -> str:
        """The rate at which one more request would be too many, where the generator's own work is the limit."""
        use = self.client
        return f"; its own ceiling is about {self.per_s / use.busiest:.0f}/s" if use.busiest > BUSY_SHARE else ""

    def percentiles(self) -> dict[str, float | None]:
        """p50, p90, p99, p99.9 and the longest latency, in milliseconds; None where they would be the client's."""
        values = [*self.latencies.percentiles_ms(PERCENTILES), self.latencies.max_ms]
        usable = self.latencies.count and not self.is_client_late
        return {name: round(v, 3) if usable else None for name, v in zip((*_NAMES, "max_ms"), values, strict=True)}

    def document(self) -> dict[str, Any]:
        """The point as a JSON document."""
        return {
            "connections": self.load.connections,
            "rate": self.load.rate_per_s or None,
            "requests_per_s": round(self.per_s, 1),
            **self.percentiles(),
            "answered": self.answered,
            "seconds": round(self.seconds, 3),
            "errors": dict(self.errors),
            "unanswered": self.unanswered,
            "client": {key: round(value, 4) for key, value in asdict(self.client).items()},
            "server": asdict(self.server) if self.server else None,
            "note": self.note(),
            "partial": self.is_partial,
            "timeline": [asdict(one) for one in self.timeline],
            "histogram": self.latencies.text(),
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Point:
        """The point of a document; raises KeyError, TypeError or ValueError for another one."""
        point = cls(
            Load(int(values["connections"]), float(values["rate"] or 0)),
            answered=int(values["answered"]),
            seconds=float(values["seconds"]),
            errors=Counter(values["errors"]),
            unanswered=int(values["unanswered"]),
            timeline=[Interval(**one) for one in values["timeline"]],
            client=ClientUse(**values["client"]),
            server=ServerUse(**values["server"]) if values["server"] else None,
            is_partial=bool(values["partial"]),
        )
        point.latencies.add(values["histogram"])
        return point


@dataclass
class BenchResult:
    """Every point of one bench, with what was asked and of whom; `metrics` are the growth of the server's counters."""

    model: str
    version: str
    transport: str
    rows: int
    runtime: str
    points: list[Point] = field(default_factory=list)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The result as a JSON document."""
        head = {key: value for key, value in vars(self).items() if key not in ("points", "metrics")}
        return head | {"points": [one.document() for one in self.points], "server_metrics": dict(self.metrics)}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> BenchResult:
        """The result of a document; raises KeyError, TypeError or ValueError for another one."""
        return cls(
            **{name: values[name] for name in ("model", "version", "transport", "rows", "runtime")},
            points=[Point.read(one) for one in values["points"]],
            metrics=values["server_metrics"],
        )
