"""invoke verify: ask for golden cases, compare the answers, and say what held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show
from tfs_workflow.cli.model.asked import Asked, check_asked, one_for_rows, targets_of
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError, NotGoodEnoughError, WorkflowError
from tfs_workflow.quality.answers.junit import write_junit
from tfs_workflow.quality.answers.report import HEADING, Report
from tfs_workflow.quality.cases import write_cases
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.model.requests import golden_cases
from tfs_workflow.workflow.model.verification import Verification, record_models, verify_models
from tfs_workflow.workflow.temporary_server import running_or_temporary


@dataclass(frozen=True)
class VerifyOptions(Asked):
    """Whom to ask, what, and what becomes of the answers; `rows` is a file of rows to ask for."""

    signature: str = ""
    rows: str = ""
    record: bool = False
    force: bool = False
    against: str = ""
    junit: str = ""


def verify(options: CommandOptions, *, from_: str = "", **values: Any) -> None:
    """Ask every model for its golden cases and compare; `values` are the fields of VerifyOptions."""
    wanted = VerifyOptions(rows=from_, **values)
    with reported_errors(options):
        _check(wanted)
    with project_command(options) as loaded:
        verification = _verification(loaded.config, wanted)
        if options.dry_run:
            _show_intended(options, verification, wanted)
        elif wanted.record:
            _record(options, loaded, verification)
        else:
            _verify(options, loaded, verification, wanted.junit)


def _check(wanted: VerifyOptions) -> None:
    check_asked(wanted, "verify")
    if wanted.force and not wanted.record:
        raise ConfigError("--force goes with --record", where="verify")
    for option in ("against", "junit"):
        if wanted.record and getattr(wanted, option):
            raise ConfigError(f"--record and --{option} exclude each other", where="verify")
    if wanted.junit:
        _check_directory(Path(wanted.junit))


def _verification(config: Config, wanted: VerifyOptions) -> Verification:
    """What to verify; files are read, and what --record would overwrite is found, before a server starts."""
    targets = [replace(target, signature=wanted.signature or None) for target in targets_of(config, wanted)]
    one_for_rows(config, targets, wanted.rows)
    if wanted.record:
        for target in targets:
            _check_recordable(config, target.model, force=wanted.force)
    golden = {} if wanted.rows else golden_cases(config, targets, may_be_missing=wanted.record)
    return Verification(targets, golden, wanted.rows, wanted.transport, wanted.against)


def _check_recordable(config: Config, model: str, *, force: bool) -> None:
    path = config.models[model].golden
    if not path:
        fix = f"name the file to write: models.{model}.golden: {model}.jsonl"
        raise ConfigError("no file for golden cases", where=f"models.{model}", fix=fix)
    if Path(path).exists() and not force:
        raise ConfigError("the golden cases are there already", where=path, fix="--force replaces them")
    _check_directory(Path(path))


def _check_directory(file: Path) -> None:
    """Raise ConfigError where the file to write has no directory."""
    if not file.absolute().parent.is_dir():
        raise ConfigError("there is no such directory", where=str(file.parent), fix="create it first")


def _show_intended(options: CommandOptions, verification: Verification, wanted: VerifyOptions) -> None:
    verb = "record" if wanted.record else "verify"
    cases = {target.model: _intended_cases(verification, target.model) for target in verification.targets}
    show(options, {"dry_run": True, verb: cases}, (f"would {verb} {name} with {text}" for name, text in cases.items()))


def _intended_cases(verification: Verification, model: str) -> str:
    if verification.rows:
        return f"the rows of {verification.rows}"
    golden = verification.golden.get(model)
    return f"{len(golden)} golden cases" if golden else "a request of the example or the signature"


def _verify(options: CommandOptions, loaded: LoadedConfig, verification: Verification, junit: str) -> None:
    report = Report()
    with _shown(options, report, junit), _server(loaded) as server:
        verify_models(loaded, server, verification, report)
    if failed := report.failed():
        asked = sum(len(model.results) for model in report.models)
        raise NotGoodEnoughError(
            f"{len(failed)} of {asked} cases did not hold",
            where=", ".join(model.target.model for model in report.models if not model.good),
            evidence=failed[0],
            fix="where the new answers are right: invoke verify --record --force" if not verification.against else "",
        )


@contextmanager
def _shown(options: CommandOptions, report: Report, junit: str) -> Iterator[None]:
    """Show the report after the block; what is there is shown as partial where the block is cut short."""
    try:
        yield
    except BaseException as error:
        report.stopped = error.what if isinstance(error, WorkflowError) else "interrupted"
        raise
    finally:
        if any(model.results for model in report.models):
            _show(options, report)
        if junit:
            write_junit(junit, report)


def _show(options: CommandOptions, report: Report) -> None:
    if options.json:
        console.result_json(report.document())
        return
    console.table([HEADING, *(model.row() for model in report.models)])
    for model in report.models:
        for line in model.lines():
            console.result(line)
    if report.stopped:
        console.result(f"partial: {report.stopped}")


def _record(options: CommandOptions, loaded: LoadedConfig, verification: Verification) -> None:
    with _server(loaded) as server:
        found = record_models(loaded, server, verification)
    written = {}
    for name, cases in found.items():
        path = loaded.config.models[name].golden or ""
        write_cases(path, cases)
        written[name] = {"golden": path, "cases": len(cases)}
    lines = (f"{name}  {one['cases']} cases  {one['golden']}" for name, one in written.items())
    show(options, {"recorded": written}, lines)


@contextmanager
def _server(loaded: LoadedConfig) -> Iterator[ModelServer]:
    with console.progress_bars() as bars:
        context = TransferContext(progress=bars, notify=console.note)
        with running_or_temporary(loaded, context) as server:
            yield server
