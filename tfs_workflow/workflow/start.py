"""serve: find or start the server, and wait until every wanted version is AVAILABLE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tfs_workflow.checks import check_models
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import NotReady
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.kinds import reader
from tfs_workflow.runtimes.observer import Observer
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.state.setup_record import prepared
from tfs_workflow.state.workspace import Workspace
from tfs_workflow.workflow.drift import Drift, configuration_drift, drift, remember_restarted, remember_served, served
from tfs_workflow.workflow.failures import failure_kept, last_end
from tfs_workflow.workflow.image_pin import with_image_of_now
from tfs_workflow.workflow.project import (
    announce_wait,
    remember_started,
    require_engine_in_reach,
    runtimes_of,
    server_spec,
    started_with,
)

if TYPE_CHECKING:
    from tfs_workflow.client.interface import VersionStatus

Statuses = Mapping[str, "list[VersionStatus]"]
Found = list[tuple[Runtime, ModelServer]]


@dataclass(frozen=True)
class Served:
    """A server with the status of every model; `unchanged` when it ran already.

    `replaced` says why a running one had to make room.
    """

    server: ModelServer
    models: Statuses
    unchanged: bool = False
    replaced: tuple[Drift, ...] = ()


def serve(loaded: LoadedConfig, transfer: Transfer) -> Served:
    """Start the server unless the very same one runs without drift, and wait until every wanted version is AVAILABLE.

    Raises what the checks, the runtime and the waiting raise; then nothing that was started here is left, and a server
    that ran before runs again.
    """
    config = loaded.config
    workspace, made = prepared(Workspace.open(loaded.workspace, config.project), config)
    with workspace.exclusive(announce_wait(transfer)):
        if made.runtime == "docker":
            require_engine_in_reach(config)
        runtimes = runtimes_of(workspace)
        made = with_image_of_now(loaded, workspace, made, runtimes.get(made.runtime), transfer)
        spec = server_spec(config, made)
        wanted = check_models(spec, reader(made.runtime))
        wait = partial(_wait, wanted=wanted, timeout_s=config.server.ready_timeout_s)
        names = {*started_with(workspace), made.runtime}
        live = _without_ended(runtimes.find(config.project, tuple(names), required=made.runtime))
        reasons = [reason for _, server in live for reason in _reasons(server, spec, workspace)]
        if len(live) == 1 and not reasons:
            if live[0][1].runtime not in started_with(workspace):  # a state that was lost
                remember_started(workspace, *names)
            return _unchanged(*live[0], wait, partial(remember_served, workspace, spec=spec, versions=wanted))
        remember_started(workspace, *names)
        runtime = runtimes.get(made.runtime)
        before = {server.id for _, server in live}
        removed, kept = _removed_unless_ready(runtime, config.project, before), failure_kept(workspace, runtime)
        with _room(live, workspace), removed, kept as attempt:
            attempt.server = server = runtime.start(spec)
            statuses = wait(runtime, server)
            remember_served(workspace, server, spec, wanted)
        return Served(server, statuses, replaced=tuple(reasons))


def _without_ended(found: Found) -> Found:
    """Those that run; what has ended is removed."""
    for owner, server in found:
        if server.exit_code is not None:
            owner.stop(server, timeout_s=0)
    return [(owner, server) for owner, server in found if server.exit_code is None]


def _reasons(server: ModelServer, spec: ServerSpec, workspace: Workspace) -> list[Drift]:
    """Why a running server must be replaced."""
    kept = served(workspace)
    if server.digest != spec.digest():
        return configuration_drift(server, spec, kept)
    from tfs_workflow.client.rest_json import ServingClient  # noqa: PLC0415  # a first start has none to ask

    statuses: Statuses | None = None
    with suppress(NotReady), ServingClient(server.rest_url) as client:  # the waiting says what is wrong then
        statuses = {model.name: client.status(model.name) for model in spec.models}
    return drift(server, spec, kept, statuses)


def _unchanged(
    runtime: Runtime, server: ModelServer, wait: Callable[..., Statuses], remember: Callable[[ModelServer], None]
) -> Served:
    statuses = wait(runtime, server)
    remember(server)
    return Served(server, statuses, unchanged=True)


@contextmanager
def _room(live: Found, workspace: Workspace) -> Iterator[None]:
    """A running server makes room; when its successor fails it comes back, which is no drift of its own."""
    try:
        with ExitStack() as stack:
            for owner, server in live:
                stack.enter_context(owner.replacing(server))
            yield
    except BaseException:
        for owner, server in live:
            remember_restarted(workspace, server, owner.find(server.project))
        raise


@contextmanager
def _removed_unless_ready(runtime: Runtime, project: str, before: set[str]) -> Iterator[None]:
    """Whatever a failed or interrupted start brought into the world under this project's label goes again."""
    try:
        yield
    except BaseException:
        for server in runtime.find(project):
            if server.id not in before:
                runtime.stop(server, timeout_s=0)
        raise


def _wait(runtime: Runtime, server: ModelServer, wanted: Mapping[str, list[int]], timeout_s: float) -> Statuses:
    # Here and not above: while these are imported, the server starts.
    from tfs_workflow.client.rest_json import ServingClient  # noqa: PLC0415
    from tfs_workflow.health.readiness import wait_until_available  # noqa: PLC0415

    observer = Observer(runtime, server)
    with ServingClient(server.rest_url) as client:
        try:
            return wait_until_available(wanted, client, observer, timeout_s)
        except NotReady as error:
            if observer.server.restarts:
                error.what += f"; the engine restarted it {observer.server.restarts} times"
            raise


def raise_ended(runtime: Runtime, server: ModelServer) -> None:
    """Raise NotReady with the diagnosis of a server that ended by itself, once or in a loop."""
    _, found, restarted = last_end(runtime, server)
    raise found.error(f"the server ended{restarted}: {found.cause}")
