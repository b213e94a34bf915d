"""invoke status: show the running server, its versions, its uptime and its drift."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, show
from tfs_workflow.cli.lifecycle.server_view import drift_document, model_lines, server_document, server_lines
from tfs_workflow.cli.program_name import in_words_of_the_program
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.workflow.inspect_server import ProjectStatus, inspect, raise_unless_served


def status(options: CommandOptions) -> None:
    """Show the project's server, its models and every drift; raises ServerNotReadyError when a model is not served."""
    with project_command(options) as loaded:
        try:
            found = inspect(loaded)
        except ServerNotReadyError as error:
            if options.json:
                console.result_json(
                    {"project": loaded.config.project, "running": False, "models": {}, "drift": [], "events": []}
                )
                console.error(str(error))
                sys.exit(error.exit_code)
            raise
        document = server_document(found.server, found.models)
        document |= {"running": True, "drift": [drift_document(one) for one in found.drift], "events": [*found.events]}
        show(options, document, _lines(found))
        raise_unless_served(found)


def _lines(found: ProjectStatus) -> Iterator[str]:
    yield from server_lines(found.server)
    yield from model_lines(found.server, found.models)
    yield from (f"event  {one}" for one in found.events)
    yield from (in_words_of_the_program(f"drift  {one}; {one.fix}") for one in found.drift)
