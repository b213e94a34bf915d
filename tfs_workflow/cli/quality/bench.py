"""invoke bench: how fast the served model answers, under one load after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors
from tfs_workflow.cli.quality.advise import show_advice
from tfs_workflow.cli.quality.bench_options import BenchValues, bench_options, check_values
from tfs_workflow.config.types import Slo
from tfs_workflow.errors import ConfigError, NotGoodEnoughError
from tfs_workflow.quality.bench import saved, table
from tfs_workflow.quality.bench.plot.plotted import plotted
from tfs_workflow.quality.bench.result import BenchResult, Interval, Load
from tfs_workflow.quality.bench.slo import verdict
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.atomic_file import write_named
from tfs_workflow.workflow.project import running
from tfs_workflow.workflow.quality.bench import Bench, BenchOptions, Progress, require_packages
from tfs_workflow.workflow.temporary_server import running_or_temporary


def bench(options: CommandOptions, **values: Any) -> None:
    """Put loads on the served model and show what it answered; `values` are the fields of BenchValues."""
    given = BenchValues(**values)
    with reported_errors(options):
        check_values(given)
        require_packages()
    with project_command(options) as loaded:
        asked = bench_options(loaded.config, given)
        before = saved.read_saved(Path(given.compare)) if given.compare else None
        if options.dry_run:
            console.note(
                f"would put on {asked.target.model}: {', '.join(map(str, asked.loads))}, {asked.seconds:g} s each"
            )
            return
        if given.advise:
            with _live(asked) as progress:
                show_advice(options, loaded, asked, progress)
            return
        slo = loaded.config.models[asked.target.model].slo
        with running_or_temporary(loaded, TransferContext(notify=console.note)):
            run = Bench(loaded, asked, *running(loaded))
            shown = _Shown(options, given, slo, before)
            try:
                with _live(asked) as progress:
                    run.measure(progress)
            finally:
                # Also what an interrupt or the end of the server left, which is marked as partial.
                if run.result.points:
                    shown.show(run.result)
        shown.judge(run.result)


@contextmanager
def _live(asked: BenchOptions) -> Iterator[Progress]:
    """A bar for each load, with the latencies of the last moment."""
    with console.progress_bars("seconds") as bars:

        def report(load: Load, interval: Interval) -> None:
            detail = f"p50 {interval.p50_ms:.2f} ms, p99 {interval.p99_ms:.2f} ms"
            bars(str(load), min(round(interval.at_s, 1), asked.seconds), asked.seconds, detail)

        yield report


class _Shown:
    """Shows a result, judges it by the SLO, and writes the files that were asked for."""

    def __init__(
        self, options: CommandOptions, given: BenchValues, slo: Slo | None, before: BenchResult | None
    ) -> None:
        self._options, self._given, self._slo, self._before = options, given, slo, before

    def show(self, result: BenchResult) -> None:
        """Print the result, and write its files."""
        if self._options.json:
            console.result_json(self._document(result))
        else:
            self._print(result)
        if self._given.save:
            saved.write_saved(Path(self._given.save), result)
        for name in self._given.plot:
            write_named(Path(name), plotted(result, Path(name).suffix))

    def judge(self, result: BenchResult) -> None:
        """Raise NotGoodEnoughError where the SLO is missed, ConfigError where the generator could not send a rate."""
        for point in result.points:
            if point.is_client_late:
                raise ConfigError(
                    f"the load generator cannot send {point.load}",
                    where="--rate",
                    evidence=point.note(),
                    fix=f"--processes {point.client.processes + 1} where processors are free, or a lower rate",
                )
        if self._slo:
            verdict(self._slo, result.points)

    def _print(self, result: BenchResult) -> None:
        rows = f"{result.rows} row{'s' if result.rows > 1 else ''} a request" if result.rows else "columns"
        console.result(f"{result.model} {result.version}, {result.runtime}, {result.transport}, {rows}")
        console.table(table.rows(result.points))
        for line in table.remarks(result.points):
            console.result(line)
        for line in table.grown(result.metrics):
            console.result(line)
        if self._before:
            for line in table.comparison(result, self._before):
                console.result(f"against {self._given.compare}, {line}")
        if met := self._met(result):
            console.result(f"slo: {met}")

    def _document(self, result: BenchResult) -> dict[str, Any]:
        document = result.document()
        if self._before:
            document["compared"] = table.comparison_document(result, self._before)
        if self._slo:
            document["slo"] = self._slo.model_dump() | {"met": bool(self._met(result))}
        return document

    def _met(self, result: BenchResult) -> str:
        """How the SLO was met; empty where it was not, or where there is none."""
        try:
            return verdict(self._slo, result.points) if self._slo else ""
        except NotGoodEnoughError:
            return ""
