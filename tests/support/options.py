"""The options of a task."""

from __future__ import annotations

from invoke.parser.argument import Argument

from tfs_workflow.cli.tasks import collection


def options(task: str) -> list[Argument]:
    """The arguments of a task with their help texts."""
    return list(collection()[task].get_arguments())
