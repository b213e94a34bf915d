"""invoke demo: the whole lab, each step shown as the command that it is."""

from __future__ import annotations

from tfs_workflow import console
from tfs_workflow.interrupts import unwinding
from tfs_workflow.verbs.edge import Options
from tfs_workflow.verbs.predict import Question, predict
from tfs_workflow.verbs.serve import serve
from tfs_workflow.verbs.setup import setup
from tfs_workflow.verbs.teardown import teardown


def demo(options: Options) -> None:
    """setup, serve, predict, teardown; the last one also when the others fail."""
    suffix = f" --config {options.config}" if options.config else ""
    console.step("invoke setup" + suffix)
    with unwinding():  # one for all of them: a second Ctrl-C does not keep the teardown from its work
        setup(options)
        try:
            console.step("invoke serve" + suffix)
            serve(options)
            console.step("invoke predict" + suffix)
            predict(options, Question())
        finally:
            console.step("invoke teardown" + suffix)
            teardown(options)
