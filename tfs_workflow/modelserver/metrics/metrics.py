"""Which events are counted, and in what (util.cc, saved_model_warmup_util.cc; TensorFlow's metrics.cc).

`graph_run*` are TensorFlow's own names. Its counters cannot be read through its C API, so that the runs of requests are
counted here, and those that load a model are not. `request_log_count` stays empty, as in TensorFlow Serving without a
log collector.
"""

from __future__ import annotations

import itertools

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.metrics.counts import ENDS, REGION_BYTES, UNRUN, SharedCounts
from tfs_workflow.modelserver.metrics.families import Counter, Histogram, page

_SERVING, _CORE = ":tensorflow:serving:", ":tensorflow:core:"
_BATCHING = f"{_SERVING}batching_session:"
# Microseconds: from 10 to 25 minutes, from 100 to a second, from a millisecond to nine minutes.
_LATENCIES = [10 * 1.8**i for i in range(33)]
_WAITS = [100 * 1.2**i for i in range(52)]
_RUN_TIMES = [1000 * 2.0**i for i in range(20)]
_BYTES = [4.0**i for i in range(14)]
_ROWS = [2.0**i for i in range(14)]
_EXAMPLES = [2.0**i for i in range(15)]
_MICRO = 1e6
# So many names that nothing is known of; clients make them up, and must not fill the memory.
_MAX_UNKNOWN = 100


class Metrics:
    """Counts for Prometheus, from any thread, in a region of memory that processes share; without one, of its own."""

    def __init__(self, shared: SharedCounts | None = None, region: int = 0) -> None:
        self._shared = shared or SharedCounts(memoryview(bytearray(REGION_BYTES)))
        self._region = region
        self._counts = counts = self._shared.of(region)
        self._unknown = itertools.count()
        self._requests = Counter(counts, f"{_SERVING}request_count", "model_name", "status")
        labels, path = ("model_name", "API"), "model_path"
        self._latency = Histogram(counts, f"{_SERVING}request_latency", _LATENCIES, *labels, "entrypoint", scale=_MICRO)
        self._runtime = Histogram(counts, f"{_SERVING}runtime_latency", _LATENCIES, *labels, "runtime", scale=_MICRO)
        self._examples = Counter(counts, f"{_SERVING}request_example_count_total", "model")
        self._example_counts = Histogram(counts, f"{_SERVING}request_example_counts", _EXAMPLES, "model")
        self._request_logs = Counter(counts, f"{_SERVING}request_log_count", "model_name", "status_code")
        self._warmups = Histogram(
            counts, f"{_SERVING}model_warmup_latency", _LATENCIES, "model_path", "status", scale=_MICRO
        )
        self._loads = Counter(counts, ":tensorflow:cc:saved_model:load_attempt_count", path, "status")
        self._load_latency = Counter(counts, ":tensorflow:cc:saved_model:load_latency", path, scale=_MICRO)
        self._runs = Counter(counts, f"{_CORE}graph_runs")
        self._run_time = Counter(counts, f"{_CORE}graph_run_time_usecs", scale=_MICRO)
        self._run_times = Histogram(counts, f"{_CORE}graph_run_time_usecs_histogram", _RUN_TIMES, scale=_MICRO)
        self._input_bytes = Histogram(counts, f"{_CORE}graph_run_input_tensor_bytes", _BYTES)
        self._output_bytes = Histogram(counts, f"{_CORE}graph_run_output_tensor_bytes", _BYTES)
        self._queueing = Histogram(counts, f"{_BATCHING}queuing_latency", _WAITS, "thread_pool_name", scale=_MICRO)
        self._input_sizes = Histogram(counts, f"{_BATCHING}input_batch_size", _ROWS)
        self._batch_sizes = Histogram(counts, f"{_BATCHING}processed_batch_size", _ROWS)
        self._padding = Histogram(counts, f"{_BATCHING}padding_size", _ROWS, "execution_batch_size")
        self._batches = Counter(counts, f"{_BATCHING}wrapped_run_count")
        # Counted by fronts and the parent, and shown once there is something to show.
        self._of_others = (Counter(counts, UNRUN, "reason"), Counter(counts, ENDS, "process", "exit_code"))

    def request(self, model: str, entrypoint: str, api: str, code: Code, latency_s: float) -> None:
        """A request has been answered; how long it took is counted where it succeeded."""
        if code is Code.OK:
            self._requests.add((model, "OK"), 1)
            self._latency.add((model, api, entrypoint), latency_s)
        else:
            self._requests.add((self._bounded(model, code.name), code.name), 1)

    def _bounded(self, model: str, status: str) -> str:
        is_known = (model, status) in self._requests
        return model if is_known or next(self._unknown) < _MAX_UNKNOWN else ""

    def runtime(self, model: str, api: str, latency_s: float) -> None:
        """TensorFlow has run a request, waiting for its batch included."""
        self._runtime.add((model, api, "TF1"), latency_s)

    def graph_run(self, latency_s: float, input_bytes: int, output_bytes: int) -> None:
        """A graph has run, for one request or for a batch of them."""
        self._runs.add((), 1)
        self._run_time.add((), latency_s)
        self._run_times.add((), latency_s)
        self._input_bytes.add((), input_bytes)
        self._output_bytes.add((), output_bytes)

    def examples(self, model: str, count: int) -> None:
        """A multi-inference request had so many examples; TensorFlow Serving counts no others."""
        self._examples.add((model,), count)
        self._example_counts.add((model,), count)

    def load(self, path: str, succeeded: bool, latency_s: float) -> None:
        """A version has been loaded, or has not."""
        self._loads.add((path, "success" if succeeded else "fail"), 1)
        self._load_latency.add((path,), latency_s)

    def warm_up(self, path: str, latency_s: float) -> None:
        """A version has been warmed up, with the requests that it brings along."""
        self._warmups.add((path, "OK"), latency_s)

    def batched(self, rows: int) -> None:
        """A request of so many rows asks for its place in a batch."""
        self._input_sizes.add((), rows)

    def batch(self, waits_s: list[float], rows: int, rows_run: int) -> None:
        """A batch has been formed of requests that have waited so long, and padded to a size."""
        for wait_s in waits_s:
            self._queueing.add(("",), wait_s)
        self._batches.add((), 1)
        self._batch_sizes.add((), rows)
        self._padding.add((str(rows_run),), rows_run - rows)

    def count(self, name: str) -> int:
        """The first value of a counter, by TensorFlow's name with slashes; 0 for one without a value."""
        wanted = name.replace("/", ":")
        if not any(isinstance(value, Counter) and value.name == wanted for value in vars(self).values()):
            return 0
        totals = self._shared.totals(self._region, self._counts)
        return next((int(totals[key][0]) for key in sorted(totals) if key[0] == wanted), 0)

    def page(self) -> bytes:
        """All metrics in text format, those of the process included."""
        # Imported here since a server without metrics should not wait for it.
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.platform_collector import PlatformCollector  # noqa: PLC0415
        from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

        # A registry of its own: the global one would bring the metrics of other packages in the process.
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        totals = self._shared.totals(self._region, self._counts)
        names = {key[0] for key in totals}
        families = [value for value in vars(self).values() if isinstance(value, Histogram)]
        families += [family for family in self._of_others if family.name in names]
        return page(families, totals).encode() + generate_latest(registry)
