"""invoke demo: run the whole lab, and print each step as a command."""

from __future__ import annotations

import os

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command
from tfs_workflow.cli.lifecycle.serve import serve
from tfs_workflow.cli.lifecycle.setup import setup
from tfs_workflow.cli.lifecycle.teardown import teardown
from tfs_workflow.cli.model.predict import predict
from tfs_workflow.cli.signals import interruptible
from tfs_workflow.runtimes.ports import is_free
from tfs_workflow.workflow.remove import plan_remove


def demo(options: CommandOptions) -> None:
    """Run setup, serve, predict and teardown; teardown also runs when another step fails."""
    console.set_json_lines(True)
    _leave_taken_ports(options)
    suffix = f" --config {options.config}" if options.config else ""
    console.step("invoke setup" + suffix)
    with interruptible():  # one block for all: a second Ctrl-C does not interrupt the teardown
        setup(options)
        try:
            console.step("invoke serve" + suffix)
            serve(options)
            console.step("invoke predict" + suffix)
            predict(options)
        finally:
            console.step("invoke teardown" + suffix)
            teardown(options)


def _leave_taken_ports(options: CommandOptions) -> None:
    """Use any free port where a port of the YAML is taken, unless the project's own server holds it."""
    with project_command(options) as loaded:
        if any(server.exit_code is None for server in plan_remove(loaded).servers):
            return
        for key in ("rest_port", "grpc_port"):
            port = getattr(loaded.config.server, key)
            if port != "auto" and not is_free(port):
                console.note(f"port {port} is taken: this demo takes any free one")
                os.environ[f"TFS_SERVER__{key.upper()}"] = "auto"
