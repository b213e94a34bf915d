"""invoke status: what runs, with which versions, since when, and what drifted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from tfs_workflow.cli.command import Options, show, verb
from tfs_workflow.cli.lifecycle.server_view import model_lines, server_document, server_lines
from tfs_workflow.workflow.inspect_server import Status, raise_unless_served
from tfs_workflow.workflow.inspect_server import status as observed


def status(options: Options) -> None:
    """Show the project's server, its models and every drift; not ready when a model is not served."""
    with verb(options) as loaded:
        found = observed(loaded)
        document = server_document(found.server, found.models)
        show(options, document | {"drift": [asdict(one) for one in found.drift]}, _lines(found))
        raise_unless_served(found)


def _lines(found: Status) -> Iterator[str]:
    yield from server_lines(found.server)
    yield from model_lines(found.server, found.models)
    yield from (f"drift  {one}; {one.fix}" for one in found.drift)
