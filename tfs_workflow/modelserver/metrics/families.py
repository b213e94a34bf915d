"""Counters and histograms, and their text as TensorFlow Serving prints it (prometheus_exporter.cc).

Every request adds to several of them, on the event loop or on any thread. So adding only appends to a list, which needs
no lock and takes a quarter of a microsecond; the values of a list are counted together, now and then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np

Labels = tuple[str, ...]

# So many values wait at most to be counted.
_MOST_WAITING = 1024


class Histogram:
    """How many values were below each bound (histogram.cc), for each combination of labels that has come up.

    Values are added in seconds, say, and counted as whole numbers of microseconds, with a `scale` of 1e6.
    """

    kind = "histogram"

    def __init__(self, name: str, bounds: Sequence[float], *labels: str, scale: float = 1) -> None:
        self.name = name
        self._bounds = np.array(bounds, np.float64)
        self._names = labels
        self._scale = scale
        self._lock = threading.Lock()
        self._waiting: dict[Labels, list[float]] = {}
        # For each bound how many values were below it and no other, then how many were not, then the sum.
        self._counted: dict[Labels, list[int]] = {}

    def add(self, labels: Labels, value: float) -> None:
        """Count a value, under these values of the labels."""
        waiting = self._waiting.get(labels)
        if waiting is None:
            waiting = self._waiting.setdefault(labels, [])
        waiting.append(value)
        if len(waiting) >= _MOST_WAITING:
            self._count(labels)

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._waiting

    def _count(self, labels: Labels) -> list[int]:
        with self._lock:
            waiting = self._waiting[labels]
            taken = waiting[:]
            # Another thread may have appended to it since.
            del waiting[: len(taken)]
            values = (np.array(taken, np.float64) * self._scale).astype(np.int64)
            places = np.searchsorted(self._bounds, values, side="right")
            more = [*np.bincount(places, minlength=len(self._bounds) + 1).tolist(), int(values.sum())]
            before = self._counted.get(labels, [0] * len(more))
            self._counted[labels] = [a + b for a, b in zip(before, more, strict=True)]
            return self._counted[labels]

    def totals(self) -> Iterator[tuple[Labels, list[int], int]]:
        """For each combination of labels how many values were below each bound and no other, and their sum."""
        for labels in sorted(self._waiting):
            *counts, total = self._count(labels)
            yield labels, counts, total

    def lines(self) -> Iterator[str]:
        """For each combination of labels a line for each bound, the sum and the number."""
        limits = [f"{bound:g}" for bound in self._bounds] + ["+Inf"]
        for labels, counts, total in self.totals():
            shown = _shown(self._names, labels)
            for limit, count in zip(limits, np.cumsum(counts).tolist(), strict=True):
                yield f'{self.name}_bucket{{{shown}{"," if shown else ""}le="{limit}"}} {count}'
            yield f"{self.name}_sum{{{shown}}} {total}"
            yield f"{self.name}_count{{{shown}}} {sum(counts)}"


class Counter(Histogram):
    """The sum of what was added, for each combination of labels that has come up."""

    kind = "counter"

    def __init__(self, name: str, *labels: str, scale: float = 1) -> None:
        super().__init__(name, (), *labels, scale=scale)

    def lines(self) -> Iterator[str]:
        """A line for each combination of labels."""
        for labels, _, total in self.totals():
            yield f"{self.name}{{{_shown(self._names, labels)}}} {total}"


def page(families: Sequence[Histogram]) -> str:
    """All families, by name; one that has no value yet has its line of type."""
    lines: list[str] = []
    for family in sorted(families, key=lambda family: family.name):
        lines += [f"# TYPE {family.name} {family.kind}", *family.lines()]
    return "".join(f"{line}\n" for line in lines)


def _shown(names: Labels, values: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
