"""What a load generator is told, and what it reports: JSON on its stdin and stdout."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

REST, GRPC = "rest", "grpc"
# How a run ended: as planned, because the server is gone, or because it was told to stop.
DONE, GONE, STOPPED = "done", "gone", "stopped"
CONNECTION_LOST = "the connection was lost"


@dataclass(frozen=True)
class Orders:
    """One run: where to send what, and how often.

    `bodies` are sent in turn, each whole: JSON for REST, a PredictRequest for gRPC. `rate_per_s` 0 is a closed loop of
    `connections`; else an open loop that opens at most so many. `first_due_s` shifts the first request, where several
    generators share a rate. `fields` are further headers, `certificate` is the path of the server's own.
    """

    transport: str
    host: str
    port: int
    path: str
    bodies: tuple[bytes, ...]
    connections: int
    seconds: float
    warm_up_s: float
    rate_per_s: float = 0
    first_due_s: float = 0
    timeout_s: float = 10
    fields: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""

    def text(self) -> str:
        """The orders as one line of JSON."""
        values = {key: value for key, value in vars(self).items() if key != "fields"}
        return json.dumps(
            values | {"fields": dict(self.fields), "bodies": [b64encode(one).decode() for one in self.bodies]}
        )

    @classmethod
    def read(cls, text: str) -> Orders:
        """The orders in a line of JSON."""
        values = json.loads(text)
        values["bodies"] = tuple(b64decode(one) for one in values["bodies"])
        return cls(**values)


@dataclass
class Report:
    """What a generator measured since its last report.

    `answered` counts the good answers of this interval; `histogram` is an encoded HdrHistogram of the latencies, in
    microseconds, of the requests that count. `errors` counts the others by their text, `late` those that the generator
    itself sent late.
    """

    at_s: float = 0
    answered: int = 0
    histogram: str = ""
    errors: dict[str, int] = field(default_factory=dict)
    late: int = 0

    def text(self) -> str:
        """The report as one line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what it cost the generator.

    `cpu_s` is its own processor time and `waited_s` how long it was ready to run without a processor, both within the
    `wall_s` that were measured. `unanswered` requests were due or on their way at the end; an open loop was `behind_s`
    seconds behind its rate. `evidence` is the last error of the connection.
    """

    how: str
    wall_s: float
    cpu_s: float
    waited_s: float
    unanswered: int = 0
    behind_s: float = 0
    evidence: str = ""

    def text(self) -> str:
        """The ending as one line of JSON."""
        return json.dumps({"ending": asdict(self)})


def read_line(line: str) -> Report | Ending:
    """A report or the ending, from a line of JSON."""
    values: dict[str, Any] = json.loads(line)
    return Ending(**values["ending"]) if "ending" in values else Report(**values)
