"""The options of a task, as often as one asks: invoke takes the help texts off a task when it lists its arguments."""

from __future__ import annotations

import copy

from invoke.parser.argument import Argument

from tfs_workflow.cli.tasks import collection


def options(task: str) -> list[Argument]:
    """The arguments of a task with their help texts."""
    one = copy.copy(collection()[task])
    one.help = dict(one.help)
    return list(one.get_arguments())
