"""invoke demo: the whole lab, each step shown as the command that it is."""

from __future__ import annotations

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions
from tfs_workflow.cli.lifecycle.serve import serve
from tfs_workflow.cli.lifecycle.setup import setup
from tfs_workflow.cli.lifecycle.teardown import teardown
from tfs_workflow.cli.model.predict import predict
from tfs_workflow.cli.signals import interruptible


def demo(options: CommandOptions) -> None:
    """setup, serve, predict, teardown; the last one also when the others fail."""
    console.set_json_lines(True)
    suffix = f" --config {options.config}" if options.config else ""
    console.step("invoke setup" + suffix)
    with interruptible():  # one for all of them: a second Ctrl-C does not keep the teardown from its work
        setup(options)
        try:
            console.step("invoke serve" + suffix)
            serve(options)
            console.step("invoke predict" + suffix)
            predict(options)
        finally:
            console.step("invoke teardown" + suffix)
            teardown(options)
