"""invoke serve: start the server, show its endpoints, and with --follow its log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show, show_plan
from tfs_workflow.cli.lifecycle.server_view import curl_lines, drift_document, model_lines, server_document
from tfs_workflow.config.load import LoadedConfig, default_path
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.setup_record import SetupRequiredError
from tfs_workflow.workflow.model.implied_project import write_implied_project
from tfs_workflow.workflow.model.smoke import SmokeResult, smoke_test
from tfs_workflow.workflow.model.warmup_log import warmup_runs
from tfs_workflow.workflow.prepare import SetupOptions, prepare
from tfs_workflow.workflow.project import running
from tfs_workflow.workflow.remove import remove
from tfs_workflow.workflow.start import Served, plan_serve, raise_ended, start, start_after_setup


def serve(options: CommandOptions, *, path: str = "", follow: bool = False, setup: bool = True) -> None:
    """Start the server, show its endpoints and with `follow` its log until Ctrl-C.

    `path` is a model to serve without a YAML. With `setup`, a missing set-up runs first.
    """
    if path:
        options = _with_implied_yaml(options, path)
    with project_command(options) as loaded:
        if options.dry_run:
            _show_plan(options, loaded)
            return
        done = _started(loaded, setup=setup, pull=not path)
        _report_unusual(done)
        warmups = [] if done.unchanged or done.reloaded else warmup_runs(loaded, done.server)
        for run in warmups:
            console.note(f"warmed up with {run.requests} requests: {run.file}")
        smoke = [] if done.unchanged else list(_smoke_tested(loaded, done))
        requests = {one.model: one.request for one in smoke}
        document = server_document(done.server, done.models) | {
            "smoke": {one.model: _smoke_text(one) for one in smoke},
            "warmup": [{"file": run.file, "requests": run.requests} for run in warmups],
            "unchanged": done.unchanged,
            "replaced": [drift_document(reason) for reason in done.replaced],
            "reloaded": [drift_document(reason) for reason in done.reloaded],
            "switched": [drift_document(reason) for reason in done.switched],
            "seconds_without_answers": done.gap_s if done.gap_s is None else round(done.gap_s, 3),
        }
        show(options, document, chain(model_lines(done.server, done.models), curl_lines(loaded, done.server, requests)))
        if follow:
            _follow(loaded, done.server)


def _with_implied_yaml(options: CommandOptions, path: str) -> CommandOptions:
    """The options with the YAML that a path implies; writes that YAML for later verbs."""
    with reported_errors(options):
        if options.config:
            raise ConfigError("PATH and --config exclude each other", where="serve", fix="leave one of them out")
        implied = str(write_implied_project(path, Path.cwd()))
        if default_path() != implied:
            console.note(f"later verbs use {default_path()} of this directory; for this model, add: --config {implied}")
        return replace(options, config=implied)


def _show_plan(options: CommandOptions, loaded: LoadedConfig) -> None:
    try:
        show_plan(options, plan_serve(loaded))
    except SetupRequiredError as error:
        document = {"dry_run": True, "action": "setup, then start"}
        show(options, document, [f"would set up first ({error.what}), then start the server"])


def _started(loaded: LoadedConfig, *, setup: bool, pull: bool) -> Served:
    """Start the server; run a missing set-up first, without `pull` as `prepare` does."""
    context = TransferContext(notify=console.note)
    starting = partial(_start_with_bars, loaded, context)
    if not setup:
        return starting()
    return start_after_setup(starting, partial(_set_up_with_bars, loaded, context, pull=pull), console.note)


def _set_up_with_bars(loaded: LoadedConfig, context: TransferContext, *, pull: bool) -> None:
    with console.progress_bars() as bars:
        prepare(loaded, replace(context, progress=bars), SetupOptions(pull=pull))


def _start_with_bars(loaded: LoadedConfig, context: TransferContext) -> Served:
    """Start the server; on a terminal, a bar per model shows the seconds of the wait."""
    with console.progress_bars("seconds") as bars:
        return start(loaded, replace(context, progress=bars))


def _smoke_tested(loaded: LoadedConfig, done: Served) -> Iterator[SmokeResult]:
    for result in smoke_test(loaded, done.server):
        if result.error is not None:
            console.warn(f"{result.model} is loaded but fails a request generated for it: {result.error}")
            console.note("an `example:` in the YAML replaces that request; `smoke: false` sends none")
        yield result


def _smoke_text(result: SmokeResult) -> str:
    if result.error is not None:
        return f"refused: {result.error.what}"
    return f"skipped: {result.skipped}" if result.skipped else "answered"


def _report_unusual(done: Served) -> None:
    if done.server.exposed:
        ports = f"{done.server.rest_port} and {done.server.grpc_port}"
        why = (
            "a native server listens everywhere"
            if runtime_kind(done.server.runtime).always_exposed
            else "server.expose is true"
        )
        console.warn(f"ports {ports} are open to the whole network: {why}")
    if done.unchanged:
        console.note(f"already running with this configuration, since {done.server.started_at:%F %T} UTC")
    for reason in done.replaced:
        console.note(f"replaced the running server: {reason}")
    for reason in done.switched:
        console.note(f"loaded beside the running engine, no request was lost: {reason}")
    for reason in done.reloaded:
        console.note(f"reloaded the running server: {reason}")
    if done.gap_s is not None:
        console.note(f"replaced: {done.gap_s:.1f} s without answers")


def _follow(loaded: LoadedConfig, server: ModelServer) -> None:
    """Print the log until Ctrl-C, which is the normal end here."""
    runtime, _ = running(loaded)
    try:
        for line in runtime.logs(server, follow=True):
            console.result(line)
        raise_ended(runtime, server)
    except KeyboardInterrupt:
        console.note("tearing down")
    finally:
        remove(loaded, TransferContext(notify=console.note))
