"""serve: find or start the server, and wait until every wanted version is AVAILABLE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from tfs_workflow.checks import check_models
from tfs_workflow.config import LoadedConfig
from tfs_workflow.errors import NotReady
from tfs_workflow.prepared import prepared
from tfs_workflow.retries import Transfer
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.observer import Observer
from tfs_workflow.serving.client import ServingClient
from tfs_workflow.serving.diagnosis import diagnose
from tfs_workflow.serving.interface import VersionStatus
from tfs_workflow.serving.readiness import wait_until_available
from tfs_workflow.serving.spec import ServerSpec
from tfs_workflow.workflow.project import (
    announce_wait,
    reader,
    remember_started,
    require_local_engine,
    runtimes_of,
    server_spec,
    started_with,
)
from tfs_workflow.workspace import Workspace

Statuses = Mapping[str, list[VersionStatus]]


@dataclass(frozen=True)
class Served:
    """A server with the status of every model; `unchanged` when it ran already, `replaced` when another made room."""

    server: ModelServer
    models: Statuses
    unchanged: bool = False
    replaced: bool = False


def serve(loaded: LoadedConfig, transfer: Transfer) -> Served:
    """Start the server unless the very same one runs, and wait until every wanted version is AVAILABLE.

    Raises what the checks, the runtime and the waiting raise; then nothing that was started here is left, and a server
    that ran before runs again.
    """
    config = loaded.config
    workspace, made = prepared(Workspace.open(loaded.workspace, config.project), config)
    with workspace.exclusive(announce_wait(transfer)):
        if made.runtime == "docker":
            require_local_engine()
        spec = server_spec(config, made)
        wanted = check_models(spec, reader(made.runtime))
        wait = partial(_wait, wanted=wanted, timeout_s=config.server.ready_timeout_s)
        names = {*started_with(workspace), made.runtime}
        runtimes = runtimes_of(workspace)
        found = runtimes.find(config.project, tuple(names), required=made.runtime)
        for runtime, server in found:
            if server.exit_code is None and server.digest == spec.digest():
                return Served(server, wait(runtime, server), unchanged=True)
        remember_started(workspace, *names)
        runtime = runtimes.get(made.runtime)
        with _room(found, spec), _removed_unless_ready(runtime, config.project, {server.id for _, server in found}):
            server = runtime.start(spec)
            statuses = wait(runtime, server)
        return Served(server, statuses, replaced=any(s.exit_code is None for _, s in found))


@contextmanager
def _room(found: list[tuple[Runtime, ModelServer]], spec: ServerSpec) -> Iterator[None]:
    """Ended servers go at once; a running one makes room, and comes back when its successor fails."""
    for owner, server in found:
        if server.exit_code is not None:
            owner.stop(server, spec.stop_timeout_s)
    with ExitStack() as stack:
        for owner, server in found:
            if server.exit_code is None:
                stack.enter_context(owner.replacing(server))
        yield


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
    with ServingClient(server.rest_url) as client:
        return wait_until_available(wanted, client, Observer(runtime, server), timeout_s)


def raise_ended(runtime: Runtime, server: ModelServer) -> None:
    """Raise NotReady with the diagnosis of a server that ended by itself."""
    observer = Observer(runtime, server)
    exit_code = observer.exit_code()
    found = diagnose(observer.lines(), exit_code, observer.out_of_memory())
    raise NotReady(f"the server ended: {found.cause}", evidence=found.evidence, fix=found.fix)
