"""What the server counts, under TensorFlow Serving's metric names.

Latencies are in microseconds and the buckets are TensorFlow Serving's.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.metrics import families
from tfs_workflow.modelserver.metrics.counts import REGION_BYTES, Counts, SharedCounts, Values
from tfs_workflow.modelserver.metrics.families import Family


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
    """Counts for Prometheus, in a region of memory that processes share; without one, in memory of its own."""

    def __init__(self, shared: SharedCounts | None = None, region: int = 0) -> None:
        self._shared = shared or SharedCounts(memoryview(bytearray(REGION_BYTES)))
        self._region = region
        self._counts = self._shared.of(region)
        # Batches and loads are counted on threads.
        self._lock = threading.Lock()
        self._queueing = self._histogram(families.QUEUEING, "")
        self._batch_sizes = self._histogram(families.BATCH_SIZES)
        self._runs = self._counter(families.RUNS)
        # Names and labels are looked up once: doing so for each request takes longer than counting.
        self._children: dict[tuple[str, str, str, Code], tuple[Values, _Histogram]] = {}

    def _counter(self, family: Family, *labels: str) -> Values:
        return self._counts.values((family.name, *labels), 1)

    def _histogram(self, family: Family, *labels: str) -> _Histogram:
        return _Histogram(family.bounds, self._counts, (family.name, *labels))

    def request(self, model: str, entrypoint: str, api: str, code: Code, latency_s: float) -> None:
        """A request has been answered."""
        key = (model, entrypoint, api, code)
        children = self._children.get(key)
        if children is None:
            # Names that clients make up must not fill the memory: those that are not served are counted together.
            name = model if code is not Code.NOT_FOUND else ""
            count = self._counter(families.REQUESTS, name, code.name)
            children = (count, self._histogram(families.LATENCY, name, api, entrypoint))
            if name:
                self._children[key] = children
        count, latency = children
        with self._lock:
            count[0] += 1
            latency.observe(latency_s * 1e6)

    def load(self, path: str, succeeded: bool, latency_s: float) -> None:
        """A version has been loaded, or has not."""
        with self._lock:
            self._counter(families.LOADS, path, "success" if succeeded else "fail")[0] += 1
            self._counter(families.LOAD_LATENCY, path)[0] += latency_s * 1e6

    def queueing(self, latency_s: float) -> None:
        """A request has waited for its batch."""
        with self._lock:
            self._queueing.observe(latency_s * 1e6)

    def batch(self, rows: int, rows_run: int) -> None:
        """A batch has been formed, and padded to a size."""
        with self._lock:
            self._runs[0] += 1
            self._batch_sizes.observe(rows)
            self._histogram(families.PADDING, str(rows_run)).observe(rows_run - rows)

    def page(self) -> bytes:
        """All metrics in text format."""
        from tfs_workflow.modelserver.metrics import prometheus_page  # noqa: PLC0415  # with it prometheus-client

        return prometheus_page.page(self._shared.totals(self._region, self._counts))


class _Histogram:
    """One count for each bucket, one for what is above all bounds, and the sum of all values."""

    __slots__ = ("_bounds", "_values")

    def __init__(self, bounds: Sequence[float], counts: Counts, key: tuple[str, ...]) -> None:
        self._bounds = bounds
        self._values = counts.values(key, len(bounds) + 2)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._values[bisect_left(self._bounds, value)] += 1
        self._values[-1] += value
