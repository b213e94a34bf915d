"""invoke warmup: write the requests with which a server warms up what it has loaded."""

from __future__ import annotations

from dataclasses import replace

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show
from tfs_workflow.cli.model.asked import Asked, check_asked, one_for_rows, targets_of
from tfs_workflow.cli.quality.warmup_view import warmup_documents, warmup_lines
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.model.requests import golden_cases
from tfs_workflow.workflow.model.warm_up import WarmUp, warm_up


def warmup(  # noqa: PLR0913  # the verb's options
    options: CommandOptions,
    *,
    model: str = "",
    version: str = "",
    signature: str = "",
    from_: str = "",
    in_place: bool = False,
    force: bool = False,
) -> None:
    """Write warm-up requests for every model, or for one; rows of `from_` instead of golden cases or an example."""
    asked = Asked(model, version)
    with reported_errors(options):
        check_asked(asked, "warmup")
    with project_command(options) as loaded:
        targets = [replace(target, signature=signature or None) for target in targets_of(loaded.config, asked)]
        one_for_rows(loaded.config, targets, from_)
        golden = {} if from_ else golden_cases(loaded.config, targets)
        wanted = WarmUp(targets, golden, from_, in_place, force)
        if options.dry_run:
            names = [target.model for target in targets]
            show(options, {"dry_run": True, "warmup": names}, (f"would write warm-up requests for {n}" for n in names))
            return
        done = warm_up(loaded, TransferContext(notify=console.note), wanted)
        show(options, {"warmup": warmup_documents(done)}, warmup_lines(done))
