"""Compares the outputs of two responses: floats within bounds, everything else exactly; NaN equals NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfs_workflow.config.types import Bounds, Tolerance
from tfs_workflow.quality.answers.outputs import is_number, shape_of

MOST_SHOWN = 10


@dataclass(frozen=True)
class Difference:
    """One value that is not as wanted; `what` is value, shape, type or output, `off` the distance of two numbers.

    An empty index means the output as a whole.
    """

    output: str
    index: tuple[int, ...]
    wanted: Any
    got: Any
    off: float | None = None
    what: str = "value"

    def __str__(self) -> str:
        place = f"{self.output}[{','.join(map(str, self.index))}]" if self.index else self.output
        kind = "" if self.what == "value" else f" {self.what}"
        off = "" if self.off is None else f", off by {self.off:.3g}"
        return f"{place}:{kind} wanted {_text(self.wanted)}, got {_text(self.got)}{off}"

    def document(self) -> dict[str, Any]:
        """The difference as JSON."""
        return {
            "output": self.output,
            "index": list(self.index),
            "what": self.what,
            "wanted": self.wanted,
            "got": self.got,
            "off": self.off,
        }


@dataclass
class Comparison:
    """What two responses differ in: the first differences, how many there are in all, and how far numbers are apart.

    `largest` is the largest distance by output name, within bounds or not. `rows` counts the rows with a largest
    number, `moved` those whose largest number is at another place.
    """

    differences: list[Difference] = field(default_factory=list)
    count: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    moved: int = 0

    def add(self, found: Difference) -> None:
        """Count a difference, and keep it while few are kept."""
        self.count += 1
        if len(self.differences) < MOST_SHOWN:
            self.differences.append(found)


def compare(wanted: Mapping[str, Any], got: Mapping[str, Any], tolerance: Tolerance) -> Comparison:
    """What differs between the outputs of two responses, by output name."""
    found = Comparison()
    for name in dict.fromkeys((*wanted, *got)):
        if name in wanted and name in got:
            _Output(name, tolerance.of(name), found).compare(wanted[name], got[name], ())
            _count_moved(wanted[name], got[name], found)
        else:
            found.add(Difference(name, (), *_presence(name in wanted), what="output"))
    return found


def _presence(wanted: bool) -> tuple[str, str]:
    return ("an output", "none") if wanted else ("none", "an output")


@dataclass(frozen=True)
class _Output:
    """One output while it is compared."""

    name: str
    bounds: Bounds
    found: Comparison

    def compare(self, wanted: Any, got: Any, index: tuple[int, ...]) -> None:
        """Compare two values at an index, and what is in them."""
        if isinstance(wanted, list) and isinstance(got, list):
            self._lists(wanted, got, index)
        elif is_number(wanted) and is_number(got):
            self._numbers(wanted, got, index)
        elif type(wanted) is not type(got) or wanted != got:
            self.found.add(Difference(self.name, index, wanted, got))

    def _lists(self, wanted: list[Any], got: list[Any], index: tuple[int, ...]) -> None:
        if len(wanted) != len(got):
            shapes = list(shape_of(wanted)), list(shape_of(got))
            self.found.add(Difference(self.name, index, *shapes, what="shape"))
            return
        for position, pair in enumerate(zip(wanted, got, strict=True)):
            self.compare(*pair, (*index, position))

    def _numbers(self, wanted: float, got: float, index: tuple[int, ...]) -> None:
        off = _distance(wanted, got)
        self.found.largest[self.name] = max(self.found.largest.get(self.name, 0.0), off)
        exact = isinstance(wanted, int) and isinstance(got, int)
        # A distance that is no number or infinite lies within no bounds, those of an infinite number included.
        allowed = 0.0 if exact or not math.isfinite(off) else self.bounds.absolute + self.bounds.relative * abs(wanted)
        if off > allowed:
            self.found.add(Difference(self.name, index, wanted, got, off))


def _distance(wanted: float, got: float) -> float:
    """How far two numbers are apart; infinite where one alone is NaN or infinite."""
    if wanted == got or (math.isnan(wanted) and math.isnan(got)):
        return 0.0
    try:
        # Between integers exactly: as floats, two large ones could be the same.
        off = float(abs(wanted - got))
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(off) else off


def _count_moved(wanted: Any, got: Any, found: Comparison) -> None:
    for before, after in zip(_vectors(wanted), _vectors(got), strict=False):
        if len(before) == len(after):
            found.rows += 1
            found.moved += _argmax(before) != _argmax(after)


def _vectors(values: Any) -> Iterator[list[float]]:
    """The rows that are vectors of two or more numbers, such as the scores of classes."""
    if isinstance(values, list):
        for row in values:
            if isinstance(row, list) and len(row) > 1 and all(map(is_number, row)):
                yield row


def _argmax(row: list[float]) -> int:
    return max(range(len(row)), key=lambda position: -math.inf if math.isnan(row[position]) else row[position])


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:59] + "…"
