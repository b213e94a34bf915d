"""invoke teardown: remove what is ours and say what that was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfs_workflow import console
from tfs_workflow.retries import Transfer
from tfs_workflow.verbs.edge import Options, show, verb
from tfs_workflow.workflow.teardown import TornDown
from tfs_workflow.workflow.teardown import teardown as torn_down


def teardown(options: Options, *, purge: bool = False, image: bool = False) -> None:
    """Remove what is ours and say what that was."""
    with verb(options) as loaded:
        done = torn_down(loaded, Transfer(announce=console.note), purge=purge, image=image)
        show(options, _document(done), _lines(done))


def _lines(done: TornDown) -> Iterator[str]:
    for server in done.servers:
        yield f"removed {server.runtime} server {server.id[:12]}"
    if not done.servers:
        yield "no server of this project to remove"
    if done.workspace:
        yield f"removed workspace {done.workspace}"
    if done.image:
        yield f"removed image {done.image}"


def _document(done: TornDown) -> dict[str, Any]:
    servers = [{"runtime": server.runtime, "id": server.id} for server in done.servers]
    return {"servers": servers, "workspace": str(done.workspace or ""), "image": done.image}
