"""Latencies in a histogram of three significant digits; the one owner of HdrHistogram (https://hdrhistogram.org).

A mean hides what users feel, and a percentile cannot be averaged over intervals or processes. Histograms can be added,
and the percentiles of the sum are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SHORTEST_US, _LONGEST_US, _DIGITS = 1, 3_600_000_000, 3
# What a table shows, and what a curve by percentile is drawn through: evenly spaced on a scale of nines.
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
CURVE = (0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.7, 99.9, 99.95, 99.99, 99.999)


class Latencies:
    """How often each latency was measured; in microseconds inside, in milliseconds outside."""

    def __init__(self) -> None:
        self._histogram = _empty()

    def add(self, text: str) -> None:
        """Add an encoded histogram."""
        if text:
            self._histogram.decode_and_add(text)

    @property
    def count(self) -> int:
        """How many latencies there are."""
        return int(self._histogram.get_total_count())

    @property
    def max_ms(self) -> float:
        """The longest."""
        return float(self._histogram.get_max_value()) / 1000 if self.count else 0.0

    def percentiles_ms(self, percentiles: Sequence[float]) -> list[float]:
        """The latency that so many per cent did not exceed, for each of ascending percentiles."""
        if not self.count:
            return [0.0] * len(percentiles)
        found = self._histogram.get_percentile_to_value_dict(list(percentiles))
        return [float(found[one]) / 1000 for one in percentiles]

    def text(self) -> str:
        """The encoded histogram, as HdrHistogram's other tools read it."""
        return _text(self._histogram)


def encoded(counts: Mapping[int, int]) -> str:
    """The encoded histogram of latencies in microseconds with how often each was measured; empty for none."""
    if not counts:
        return ""
    histogram = _empty()
    for latency_us, count in counts.items():
        histogram.record_value(min(max(latency_us, _SHORTEST_US), _LONGEST_US), count)
    return _text(histogram)


def _empty() -> Any:
    # Here and not above: the package belongs to an extra, and the verb says so where it is missing.
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415

    return HdrHistogram(_SHORTEST_US, _LONGEST_US, _DIGITS)


def _text(histogram: Any) -> str:
    text: str | bytes = histogram.encode()
    return text.decode() if isinstance(text, bytes) else text
