"""Counters and histograms, and their text as TensorFlow Serving prints it (prometheus_exporter.cc).

Every request adds to several of them, on the event loop or on any thread. Each value is counted at once, in memory that
is still there when a run ends the process.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from tfs_workflow.modelserver.metrics.counts import Counts, Key, Values

Labels = tuple[str, ...]
# The values of every combination of labels, by name and labels.
Totals = Mapping[Key, Sequence[float]]


class Histogram:
    """How many values were below each bound (histogram.cc), for each combination of labels that has come up.

    Values are added in seconds, say, and counted as whole numbers of microseconds, with a `scale` of 1e6.
    """

    kind = "histogram"

    def __init__(self, counts: Counts, name: str, bounds: Sequence[float], *labels: str, scale: float = 1) -> None:
        self.name = name
        self._counts = counts
        self._bounds = bounds
        self._labels = labels
        self._scale = scale
        self._lock = threading.Lock()
        self._length = len(bounds) + 2
        # For each bound how many values were below it and no other, then how many were not, then the sum.
        self._series: dict[Labels, Values] = {}

    def add(self, labels: Labels, value: float) -> None:
        """Count a value, under these values of the labels."""
        values = self._series.get(labels)
        if values is None:
            values = self._new(labels)
        whole = int(value * self._scale)
        with self._lock:
            values[bisect_right(self._bounds, whole)] += 1
            values[-1] += whole

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._series

    def _new(self, labels: Labels) -> Values:
        values = self._series[labels] = self._counts.values((self.name, *labels), self._length)
        return values

    def lines(self, totals: Totals) -> Iterator[str]:
        """For each combination of labels a line for each bound, the sum and the number."""
        limits = [f"{bound:g}" for bound in self._bounds] + ["+Inf"]
        for shown, (*counts, total) in self._shown(totals):
            for limit, count in zip(limits, accumulate(counts), strict=True):
                yield f'{self.name}_bucket{{{shown}{"," if shown else ""}le="{limit}"}} {count:.0f}'
            yield f"{self.name}_sum{{{shown}}} {total:.0f}"
            yield f"{self.name}_count{{{shown}}} {sum(counts):.0f}"

    def _shown(self, totals: Totals) -> Iterator[tuple[str, Sequence[float]]]:
        for key in sorted(key for key in totals if key[0] == self.name):
            yield _labels_text(self._labels, key[1:]), totals[key]


class Counter(Histogram):
    """The sum of what was added, for each combination of labels that has come up."""

    kind = "counter"

    def __init__(self, counts: Counts, name: str, *labels: str, scale: float = 1) -> None:
        super().__init__(counts, name, (), *labels, scale=scale)
        self._length = 1

    def add(self, labels: Labels, value: float) -> None:
        """Add a value, under these values of the labels."""
        values = self._series.get(labels)
        if values is None:
            values = self._new(labels)
        with self._lock:
            values[0] += int(value * self._scale)

    def lines(self, totals: Totals) -> Iterator[str]:
        """A line for each combination of labels."""
        for shown, (total,) in self._shown(totals):
            yield f"{self.name}{{{shown}}} {total:.0f}"


def page(families: Sequence[Histogram], totals: Totals) -> str:
    """All families, by name; one that has no value yet has its line of type."""
    lines: list[str] = []
    for family in sorted(families, key=lambda family: family.name):
        lines += [f"# TYPE {family.name} {family.kind}", *family.lines(totals)]
    return "".join(f"{line}\n" for line in lines)


def _labels_text(names: Labels, values: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
