"""bench: prepare the requests, ask once, then put each load on the server and measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from tfs_workflow.client.bulk.row_source import signature_of
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Slo
from tfs_workflow.errors import ConfigError, PredictionFailedError, ServerNotReadyError, ToolMissingError
from tfs_workflow.quality.bench import requests
from tfs_workflow.quality.bench.generator.orders import GRPC, REST, Orders
from tfs_workflow.quality.bench.load import Generators
from tfs_workflow.quality.bench.result import BenchResult, Interval, Load, Point
from tfs_workflow.quality.bench.server_metrics import counters, growth
from tfs_workflow.quality.bench.server_usage import usage_of
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.workflow.quality.asked_request import asked_request
from tfs_workflow.workflow.start import raise_ended

# An open loop opens at most so many connections: as many requests may be on their way at once.
OPEN_LOOP_CONNECTIONS = 512
DEFAULT_CONNECTIONS = (1, 4, 16, 64)
_PACKAGES = ("hdrh", "httptools", "ngh2", "numpy", "prometheus_client")
Progress = Callable[[Load, Interval], None]


@dataclass(frozen=True)
class BenchOptions:
    """What is asked, how often, and for how long; `rows` 0 sends each request as it is."""

    target: ModelRef
    loads: tuple[Load, ...]
    seconds: float = 5
    warm_up_s: float = 1
    rows: int = 0
    transport: str = REST
    source: str = ""
    processes: int = 1


def loads_of(connections: Sequence[int], rates: Sequence[float], slo: Slo | None) -> tuple[Load, ...]:
    """The closed loops, then the open ones; by default closed ones, and the rate of the SLO where there is one."""
    if not connections and not rates:
        connections, rates = DEFAULT_CONNECTIONS, (slo.rate,) if slo else ()
    closed = [Load(count) for count in connections]
    return (*closed, *(Load(OPEN_LOOP_CONNECTIONS, rate) for rate in rates))


class Bench:
    """One bench of a server that runs; `result` holds what was measured so far, also after an interrupt."""

    def __init__(self, loaded: LoadedConfig, options: BenchOptions, runtime: Runtime, server: ModelServer) -> None:
        """Prepare the requests and ask once.

        Raises what the client raises where that fails, and ToolMissingError where a package is missing.
        """
        _require_packages()
        if options.transport == GRPC and "ssl_config_file" in loaded.config.server.flags:
            raise ConfigError("a load over gRPC cannot use server.flags.ssl_config_file", where="--transport")
        self._options, self._runtime, self._server = options, runtime, server
        with RestJsonClient(server.rest_url, credentials=server.credentials()) as client:
            request = asked_request(loaded, client, options.target, options.source)
            target = replace(options.target, signature=options.target.signature or request.signature)
            sent = requests.with_rows(request, options.rows)
            client.predict_document(target, sent[0])
            self._orders = _orders(client, target, sent, options, server)
        version = str(target.version or target.label or "newest")
        rows = requests.rows_of(sent[0])
        self.result = BenchResult(target.model, version, options.transport, rows, server.runtime)

    def measure(self, progress: Progress) -> BenchResult:
        """Put every load on the server, one after another.

        Raises ServerNotReadyError, with the diagnosis, where the server ends meanwhile, and PredictionFailedError where
        it answered nothing. What was measured before is in `result`.
        """
        before = counters(self._server)
        for load in self._options.loads:
            self._measure(load, progress)
        self.result.metrics = growth(before, counters(self._server))
        return self.result

    def _measure(self, load: Load, progress: Progress) -> None:
        generators = Generators(
            self._orders,
            self._options.processes,
            usage_of(self._server),
            lambda interval: progress(load, interval),
        )
        point = Point(load)
        self.result.points.append(point)
        generators.put(load, point)
        if point.gone:
            self._raise_gone(point)
        if not point.answered:
            raise _unanswered(point, self.result.model)

    def _raise_gone(self, point: Point) -> None:
        server = self._runtime.refresh(self._server)
        if server.exit_code is not None or server.restarts != self._server.restarts:
            raise_ended(self._runtime, server)
        raise ServerNotReadyError(
            "the server takes no connection any more",
            where=self._orders.host,
            evidence=point.gone,
            fix="invoke status shows what runs, invoke logs why",
        )


def _orders(
    client: RestJsonClient,
    target: ModelRef,
    sent: Sequence[JsonRequest],
    options: BenchOptions,
    server: ModelServer,
) -> Orders:
    """What the load generators are told, but for the load itself."""
    credentials = server.credentials()
    orders = Orders(
        transport=options.transport,
        host=server.host,
        port=server.rest_port,
        path=requests.rest_path(client, target),
        bodies=(),
        connections=1,
        seconds=options.seconds,
        warm_up_s=options.warm_up_s,
        fields=credentials.fields,
        certificate=credentials.certificate,
    )
    if options.transport != GRPC:
        return replace(orders, bodies=requests.rest_bodies(target, sent))
    bodies = requests.grpc_bodies(target, sent, signature_of(client, target))
    return replace(orders, port=server.grpc_port, path=requests.grpc_path(), bodies=bodies)


def _unanswered(point: Point, model: str) -> PredictionFailedError:
    text, _ = point.errors.most_common(1)[0] if point.errors else ("no answer by the end", 0)
    return PredictionFailedError(
        f"no request was answered well in {point.seconds:g} s, {point.failed} failed",
        where=f"{model}, {point.load}",
        evidence=text,
        fix="give it longer: --seconds 30; or fewer --connections, a lower --rate",
    )


def _require_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ToolMissingError(
            f"the package {missing[0]} is not installed", where="bench", fix="pip install 'tfs-workflow[bench]'"
        )
