"""invoke teardown: remove the project's servers, or orphaned ones, and list what was removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show, show_plan
from tfs_workflow.errors import ConfigError
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.orphans import Orphan, find_orphans, remove_orphans
from tfs_workflow.workflow.remove import TornDown, plan_remove, remove


def teardown(  # noqa: PLR0913  # its options
    options: CommandOptions,
    *,
    purge: bool = False,
    image: bool = False,
    orphans: bool = False,
    projects: str = "*",
    yes: bool = False,
) -> None:
    """Remove what has the project's label, or with `orphans` the servers that no workspace claims."""
    with reported_errors(options):
        if orphans and (purge or image):
            raise ConfigError("--orphans goes with neither --purge nor --image", where="teardown")
        if not orphans and (yes or projects != "*"):
            raise ConfigError("--projects and --yes go with --orphans", where="teardown")
    if orphans:
        _teardown_orphans(options, projects, yes=yes)
    else:
        _teardown_project(options, purge=purge, image=image)


def _teardown_project(options: CommandOptions, *, purge: bool, image: bool) -> None:
    with project_command(options) as loaded:
        if options.dry_run:
            show_plan(options, plan_remove(loaded, purge=purge, image=image))
            return
        done = remove(loaded, TransferContext(notify=console.note), purge=purge, image=image)
        show(options, _document(done), _lines(done))


def _teardown_orphans(options: CommandOptions, projects: str, *, yes: bool) -> None:
    """List the orphaned servers, and remove them after confirmation."""
    with reported_errors(options):
        found = find_orphans(projects)
        if not options.json:
            _list(found)
        agreed = bool(found) and not options.dry_run and (yes or console.confirmed(f"remove {len(found)} of them?"))
        removed = remove_orphans(found) if agreed else []
        listed = {"orphans": [_orphan(one) for one in found], "removed": [one.server.id for one in removed]}
        show(options, listed, [f"removed {one.server.runtime} server {one.server.id[:12]}" for one in removed])
        if found and agreed is None:
            raise ConfigError(
                "nothing was removed: there is no terminal to confirm on", where="--orphans", fix="add --yes"
            )


def _list(found: Sequence[Orphan]) -> None:
    if not found:
        console.result("no orphans")
        return
    rows = [
        (one.server.project, one.server.runtime, one.server.id[:12], f"{one.server.started_at:%F %T}", one.reason)
        for one in found
    ]
    console.table([("project", "runtime", "id", "since (UTC)", "why"), *rows])


def _orphan(one: Orphan) -> dict[str, Any]:
    return {
        "project": one.server.project,
        "runtime": one.server.runtime,
        "id": one.server.id,
        "workspace": one.server.workspace,
        "started_at": one.server.started_at.isoformat(),
        "reason": one.reason,
    }


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
