"""invoke serve: start the server, show its endpoints, and follow its log where asked."""

from __future__ import annotations

from dataclasses import asdict

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, show, show_plan
from tfs_workflow.cli.lifecycle.server_view import curl_line, model_lines, server_document
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.project import running
from tfs_workflow.workflow.remove import remove
from tfs_workflow.workflow.start import Served, plan_serve, raise_ended, start


def serve(options: CommandOptions, *, follow: bool = False) -> None:
    """Start the server, show its endpoints and with `follow` its log until Ctrl-C."""
    with project_command(options) as loaded:
        if options.dry_run:
            show_plan(options, plan_serve(loaded))
            return
        done = start(loaded, TransferContext(notify=console.note))
        _say_what_is_unusual(done)
        document = server_document(done.server, done.models) | {
            "unchanged": done.unchanged,
            "replaced": [asdict(reason) for reason in done.replaced],
        }
        show(options, document, [*model_lines(done.server, done.models), curl_line(loaded.config, done.server)])
        if follow:
            _follow(loaded, done.server)


def _say_what_is_unusual(done: Served) -> None:
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


def _follow(loaded: LoadedConfig, server: ModelServer) -> None:
    """The log until Ctrl-C, which is the ordinary end here."""
    runtime, _ = running(loaded)
    try:
        for line in runtime.logs(server, follow=True):
            console.result(line)
        raise_ended(runtime, server)
    except KeyboardInterrupt:
        console.note("tearing down")
    finally:
        remove(loaded, TransferContext(notify=console.note))
