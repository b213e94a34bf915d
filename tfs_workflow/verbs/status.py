"""invoke status: what runs, with which versions, since when."""

from __future__ import annotations

from tfs_workflow.serving.client import ServingClient
from tfs_workflow.verbs.edge import Options, show, verb
from tfs_workflow.verbs.server_view import model_lines, server_document, server_lines
from tfs_workflow.workflow.project import running


def status(options: Options) -> None:
    """Show the project's server and its models."""
    with verb(options) as loaded:
        _, server = running(loaded)
        with ServingClient(server.rest_url) as client:
            models = {name: client.status(name) for name in loaded.config.models}
        show(options, server_document(server, models), [*server_lines(server), *model_lines(server, models)])
