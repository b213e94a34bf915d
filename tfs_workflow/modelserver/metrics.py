"""What the server counts, under TensorFlow Serving's metric names, in Prometheus' text format.

Latencies are in microseconds and the buckets are TensorFlow Serving's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tfs_workflow.formats.status_codes import Code

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

# prometheus-client names the family of a counter with _total, TensorFlow Serving does not.
_TOTAL = re.compile(rb"^((?:# (?:TYPE|HELP) )?:tensorflow[^\s{]*?)_total\b", re.MULTILINE)
# prometheus-client adds the time of creation of each metric, which TensorFlow Serving does not have.
_CREATED = re.compile(rb"^(?:# (?:TYPE|HELP) )?:tensorflow[^\s{]*_created\b.*\n", re.MULTILINE)
# From 10 microseconds to about 25 minutes; the sizes of batches from 1 to 16,384 rows.
_LATENCY_BUCKETS = [10 * 1.8**i for i in range(33)]
_SIZE_BUCKETS = [2.0**i for i in range(15)]
_SERVING = ":tensorflow:serving:"


class Metrics:
    """Counts nothing: the server without --monitoring_config_file."""

    def request(self, model: str, entrypoint: str, api: str, code: Code, latency_s: float) -> None:
        """A request has been answered."""

    def load(self, path: str, succeeded: bool, latency_s: float) -> None:
        """A version has been loaded, or has not."""

    def queueing(self, latency_s: float) -> None:
        """A request has waited for its batch."""

    def batch(self, rows: int, rows_run: int) -> None:
        """A batch has been formed, and padded to a size."""

    def page(self) -> bytes:
        """All metrics in text format."""
        return b""


class PrometheusMetrics(Metrics):
    """Counts for Prometheus."""

    def __init__(self) -> None:
        # Imported here since a server without metrics should not wait for it.
        from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: PLC0415
        from prometheus_client.platform_collector import PlatformCollector  # noqa: PLC0415
        from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

        # A registry of its own: the global one would bring the metrics of other packages in the process.
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: list[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, registry=registry, buckets=buckets)

        batching = f"{_SERVING}batching_session:"
        self._requests = counter(f"{_SERVING}request_count", "Requests by model and status.", "model_name", "status")
        self._latency = histogram(
            f"{_SERVING}request_latency",
            "Microseconds of a request.",
            _LATENCY_BUCKETS,
            "model_name",
            "API",
            "entrypoint",
        )
        self._loads = counter(
            ":tensorflow:cc:saved_model:load_attempt_count", "Loads by result.", "model_path", "status"
        )
        self._load_latency = counter(":tensorflow:cc:saved_model:load_latency", "Microseconds of loads.", "model_path")
        self._queueing = histogram(
            f"{batching}queuing_latency", "Microseconds in a queue.", _LATENCY_BUCKETS, "thread_pool_name"
        ).labels("")
        self._batch_sizes = histogram(f"{batching}processed_batch_size", "Rows of a batch.", _SIZE_BUCKETS)
        self._padding = histogram(
            f"{batching}padding_size", "Rows added to a batch.", _SIZE_BUCKETS, "execution_batch_size"
        )
        self._runs = counter(f"{batching}wrapped_run_count", "Batches run.")
        # Labels are resolved once: doing so for each request takes longer than counting.
        self._children: dict[tuple[str, str, str, Code], tuple[Counter, Histogram]] = {}

    def request(self, model: str, entrypoint: str, api: str, code: Code, latency_s: float) -> None:
        """A request has been answered."""
        key = (model, entrypoint, api, code)
        children = self._children.get(key)
        if children is None:
            # Names that clients make up must not fill the memory: those that are not served are counted together.
            name = model if code is not Code.NOT_FOUND else ""
            children = (self._requests.labels(name, code.name), self._latency.labels(name, api, entrypoint))
            if name:
                self._children[key] = children
        count, latency = children
        count.inc()
        latency.observe(latency_s * 1e6)

    def load(self, path: str, succeeded: bool, latency_s: float) -> None:
        """A version has been loaded, or has not."""
        self._loads.labels(path, "success" if succeeded else "fail").inc()
        self._load_latency.labels(path).inc(latency_s * 1e6)

    def queueing(self, latency_s: float) -> None:
        """A request has waited for its batch."""
        self._queueing.observe(latency_s * 1e6)

    def batch(self, rows: int, rows_run: int) -> None:
        """A batch has been formed, and padded to a size."""
        self._runs.inc()
        self._batch_sizes.observe(rows)
        self._padding.labels(str(rows_run)).observe(rows_run - rows)

    def page(self) -> bytes:
        """All metrics in text format."""
        from prometheus_client import generate_latest  # noqa: PLC0415

        return _TOTAL.sub(rb"\1", _CREATED.sub(b"", generate_latest(self._registry)))
