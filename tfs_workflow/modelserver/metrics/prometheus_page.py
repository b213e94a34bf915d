"""Prometheus' page of what was counted; the only module that imports prometheus-client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.utils import floatToGoString

from tfs_workflow.modelserver.metrics import families
from tfs_workflow.modelserver.metrics.counts import Key
from tfs_workflow.modelserver.metrics.families import Family

# prometheus-client names the family of a counter with _total, TensorFlow Serving does not.
_TOTAL = re.compile(rb"^((?:# (?:TYPE|HELP) )?:(?:tensorflow|tfs_workflow)[^\s{]*?)_total\b", re.MULTILINE)

Totals = Mapping[Key, Sequence[float]]


def page(totals: Totals) -> bytes:
    """The counts, and what prometheus-client knows of this process, in text format."""
    # A registry of its own: the global one would bring the metrics of other packages in the process.
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Collector(totals))
    return _TOTAL.sub(rb"\1", generate_latest(registry))


class _Collector:
    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterable[Metric]:
        """All metrics with their values."""
        for family in families.SERVINGS:
            yield self._metric(family)
        for family in families.OWN:
            if (metric := self._metric(family)).samples:
                yield metric

    def _metric(self, family: Family) -> Metric:
        kind = _histogram if family.bounds else _counter
        return kind(family, ((key[1:], values) for key, values in self._totals.items() if key[0] == family.name))


_Series = Iterator[tuple[Key, Sequence[float]]]


def _counter(family: Family, series: _Series) -> Metric:
    metric = CounterMetricFamily(family.name, family.text, labels=family.labels)
    for labels, (value,) in series:
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, series: _Series) -> Metric:
    metric = HistogramMetricFamily(family.name, family.text, labels=family.labels)
    bounds = [floatToGoString(bound) for bound in (*family.bounds, inf)]  # type: ignore[no-untyped-call]
    for labels, (*counts, total) in series:
        metric.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    return metric
