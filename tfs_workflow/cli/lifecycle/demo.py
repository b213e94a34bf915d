"""invoke demo: run the whole lab, and print each step as a command.

Without a YAML the bundled model is served, from a directory that exists only during the demo: neither the working
directory nor the model that was served from it before is touched.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command
from tfs_workflow.cli.lifecycle.serve import serve
from tfs_workflow.cli.lifecycle.setup import setup
from tfs_workflow.cli.lifecycle.teardown import teardown
from tfs_workflow.cli.model.predict import predict
from tfs_workflow.cli.signals import interruptible
from tfs_workflow.config.load import has_own_yaml
from tfs_workflow.runtimes.ports import is_free
from tfs_workflow.workflow.remove import plan_remove


def demo(options: CommandOptions) -> None:
    """Run setup, serve, predict and teardown; teardown also runs when another step fails."""
    console.set_json_lines(True)
    if options.config or has_own_yaml():
        _leave_taken_ports(options)
        _run(options, pull=True, purge=False)
        return
    with _demo_yaml() as path:
        console.note("no YAML here: the demo serves the bundled model")
        _run(replace(options, config=path), pull=False, purge=True)


def _run(options: CommandOptions, *, pull: bool, purge: bool) -> None:
    suffix = f" --config {options.config}" if options.config else ""
    console.step("invoke setup" + suffix)
    with interruptible():  # one block for all: a second Ctrl-C does not interrupt the teardown
        setup(options, pull=pull)
        try:
            console.step("invoke serve" + suffix)
            serve(options)
            console.step("invoke predict" + suffix)
            predict(options)
        finally:
            console.step("invoke teardown" + suffix)
            teardown(options, purge=purge)


@contextmanager
def _demo_yaml() -> Iterator[str]:
    """The YAML of the bundled model, in a temporary directory that holds the workspace, too."""
    document = {
        "project": f"demo-{os.getpid()}",
        "server": {"rest_port": "auto", "grpc_port": "auto"},
        "models": {
            "half_plus_two": {"source": {"bundled": "half_plus_two"}, "example": {"instances": [1.0, 2.0, 5.0]}}
        },
    }
    with tempfile.TemporaryDirectory(prefix="tfs-demo-") as directory:
        path = Path(directory, "tfs.yaml")
        path.write_text(json.dumps(document))  # JSON is YAML as well
        yield str(path)


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
