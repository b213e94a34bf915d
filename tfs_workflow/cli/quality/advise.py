"""bench --advise: a table of the batching parameters that were tried, and the block to paste, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Batching, Slo
from tfs_workflow.quality.bench import advice
from tfs_workflow.quality.bench.advice import Candidate
from tfs_workflow.quality.bench.slo import verdict
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.quality.advise import candidates_of, tried
from tfs_workflow.workflow.quality.bench import BenchOptions, Progress


@dataclass
class _Trial:
    """A round over all candidates, and a second one of the best and of none: the best of many may be so by chance.

    `is_whole` says that nothing cut it short.
    """

    slo: Slo | None
    first: list[Candidate] = field(default_factory=list)
    second: list[Candidate] = field(default_factory=list)
    is_whole: bool = False

    @property
    def best(self) -> Candidate:
        """The best of the first round."""
        return advice.best_of(self.first, self.slo)

    @property
    def helps(self) -> bool:
        """Whether batching helped in both rounds."""
        rounds = ((self.best, self.first[0]), (self.second[-1], self.second[0])) if self.second else ()
        return bool(rounds) and all(advice.helps(best, without, self.slo) for best, without in rounds)


def show_advice(options: CommandOptions, loaded: LoadedConfig, asked: BenchOptions, progress: Progress) -> None:
    """Try the parameters, and show which are the best; raises NotGoodEnoughError where none meets the SLO."""
    trial = _Trial(loaded.config.models[asked.target.model].slo)
    context = TransferContext(notify=console.note)

    def run(batchings: Sequence[Batching | None], into: list[Candidate]) -> None:
        for one in tried(loaded, asked, batchings, context, progress):
            into.append(one)

    try:
        run(candidates_of(loaded, asked), trial.first)
        if trial.best.batching:
            run([None, trial.best.batching], trial.second)
        trial.is_whole = True
    finally:
        # Also what an interrupt left.
        if trial.first:
            _show(options, trial)
    if trial.slo:
        verdict(trial.slo, [one.point for one in trial.first])


def _show(options: CommandOptions, trial: _Trial) -> None:
    if options.json:
        console.result_json(_document(trial))
        return
    console.result(f"{trial.first[0].point.load}" + ("" if trial.is_whole else " (partial)"))
    console.table(advice.rows_of_table([*trial.first, *trial.second]))
    if not trial.is_whole:
        return
    if trial.helps and trial.best.batching:
        console.result(f"the best: {advice.seen(trial.best)}; {advice.seen(trial.first[0])}")
        for line in advice.yaml_block(trial.best.batching):
            console.result(line)
    else:
        compared = trial.second or [trial.first[0], trial.best]
        console.result(f"batching does not help: {'; '.join(advice.seen(one) for one in compared)}")


def _document(trial: _Trial) -> dict[str, Any]:
    batching = trial.best.batching.model_dump(exclude_none=True) if trial.helps and trial.best.batching else None
    return {
        "candidates": [one.document() for one in trial.first],
        "again": [one.document() for one in trial.second],
        "partial": not trial.is_whole,
        "batching": batching,
    }
