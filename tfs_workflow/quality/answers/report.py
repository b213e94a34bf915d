"""What verify found: by model and case, as lines for people and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tfs_workflow.client.interface import ModelRef
from tfs_workflow.quality.answers.comparison import Comparison
from tfs_workflow.quality.cases import Case

HEADING = ("model", "version", "cases", "held", "compared with")
_BY_SIGNATURE = "the signature: types, shapes and finite numbers, no more"


@dataclass(frozen=True)
class CaseResult:
    """What one case differs in, or the server's error; `seconds` is how long the answer took."""

    case: Case
    comparison: Comparison = field(default_factory=Comparison)
    error: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the answer is as wanted."""
        return not self.error and not self.comparison.count

    def lines(self) -> Iterator[str]:
        """A line for the error, or for each of the first differences and the number of the others."""
        if self.error:
            yield f"refused: {self.error}"
        yield from map(str, self.comparison.differences)
        if more := self.comparison.count - len(self.comparison.differences):
            yield f"and {more} more"

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "case": self.case.where,
            "held": self.held,
            "checked": "signature" if self.case.response is None else "response",
            "error": self.error or None,
            "differences": [one.document() for one in self.comparison.differences],
            "difference_count": self.comparison.count,
            "seconds": round(self.seconds, 6),
        }


@dataclass
class ModelReport:
    """The results of one model; `reference` names what gave the wanted responses, empty for recorded ones."""

    target: ModelRef
    reference: str = ""
    results: list[CaseResult] = field(default_factory=list)

    @property
    def held(self) -> int:
        """How many cases are as wanted."""
        return sum(result.held for result in self.results)

    @property
    def good(self) -> bool:
        """Whether every case is as wanted."""
        return self.held == len(self.results)

    @property
    def version(self) -> str:
        """The version that was asked, in words."""
        return self.target.label or ("newest" if self.target.version is None else f"v{self.target.version}")

    def row(self) -> tuple[str, ...]:
        """The model's row of the table."""
        return self.target.model, self.version, str(len(self.results)), str(self.held), self._compared_with()

    def lines(self) -> Iterator[str]:
        """What did not hold, and, for two servers, how far they are apart."""
        for result in self.results:
            if not result.held:
                yield f"{self.target.model}, {result.case.where}"
                yield from (f"  {line}" for line in result.lines())
        if self.reference:
            yield from self._apart_lines()

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        moved, rows = self._moved()
        return {
            "model": self.target.model,
            "version": self.target.version,
            "label": self.target.label,
            "reference": self.reference or None,
            "held": self.held,
            "largest_difference": self.largest(),
            "rows_with_argmax": rows,
            "argmax_changed": moved,
            "cases": [result.document() for result in self.results],
        }

    def largest(self) -> dict[str, float]:
        """The largest distance of two numbers by output name, within bounds or not."""
        found: dict[str, float] = {}
        for result in self.results:
            for name, off in result.comparison.largest.items():
                found[name] = max(found.get(name, 0.0), off)
        return found

    def _moved(self) -> tuple[int, int]:
        comparisons = [result.comparison for result in self.results]
        return sum(one.moved for one in comparisons), sum(one.rows for one in comparisons)

    def _apart_lines(self) -> Iterator[str]:
        for name, off in self.largest().items():
            yield f"{self.target.model}: largest difference of {name}: {off:.3g}"
        moved, rows = self._moved()
        if rows:
            yield f"{self.target.model}: argmax changed in {moved} of {rows} rows ({moved / rows:.1%})"

    def _compared_with(self) -> str:
        if self.reference:
            return self.reference
        blind = sum(result.case.response is None for result in self.results)
        if not blind:
            return "recorded responses"
        return _BY_SIGNATURE if blind == len(self.results) else f"recorded responses; {blind} with {_BY_SIGNATURE}"


@dataclass
class Report:
    """The reports of all models; `stopped` is why not every case was asked."""

    models: list[ModelReport] = field(default_factory=list)
    stopped: str = ""

    @property
    def good(self) -> bool:
        """Whether every case of every model was asked and is as wanted."""
        return not self.stopped and all(model.good for model in self.models)

    def failed(self) -> list[str]:
        """Each case that is not as wanted, with its first difference."""
        return [
            f"{model.target.model}, {result.case.where}: {next(result.lines())}"
            for model in self.models
            for result in model.results
            if not result.held
        ]

    def document(self) -> dict[str, Any]:
        """The report as one JSON document."""
        partial = {"partial": self.stopped} if self.stopped else {}
        return {"good": self.good} | partial | {"models": [model.document() for model in self.models]}
