"""status: the project's server, its models, and its drift from what the YAML wants.

`status` is called by scripts, so it must not change anything, and it must not wait for another verb. It reads the state
without the lock: the file is replaced whole, so that a reader sees the old or the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tfs_workflow.client.interface import ServerUnreachableError, State, VersionStatus
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError, ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.state import lockfile
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.setup_record import require_setup
from tfs_workflow.workflow.plan.difference import Drift
from tfs_workflow.workflow.plan.drift import SETUP_AND_SERVE, drift, image_drift, restart_event
from tfs_workflow.workflow.plan.observation import ObservedServer, as_served, is_configured
from tfs_workflow.workflow.project import known, require_workspace, runtimes_of, server_spec
from tfs_workflow.workflow.start import raise_ended


@dataclass(frozen=True)
class ProjectStatus:
    """The running server, with the status of every model of the YAML, every drift, and what happened to it."""

    server: ModelServer
    models: Mapping[str, list[VersionStatus]]
    drift: tuple[Drift, ...]
    events: tuple[str, ...] = ()

    def unserved(self) -> list[str]:
        """The models of which no version is AVAILABLE; one that the server has no version of at all is drift."""
        states = {model: {version.state for version in versions} for model, versions in self.models.items()}
        return [model for model, seen in states.items() if seen and State.AVAILABLE not in seen]


def inspect(loaded: LoadedConfig) -> ProjectStatus:
    """The project's server with its drift; ServerNotReadyError, with the diagnosis, when it is missing, ended or
    silent.
    """
    runtime, server = known(loaded)
    if server.exit_code is not None:
        raise_ended(runtime, server)
    with RestJsonClient(server.rest_url, credentials=server.credentials()) as client:
        try:
            models = {name: client.status(name) for name in loaded.config.models}
        # A server that is silent may have ended a moment ago: then its end explains more than the failed connection
        # does.
        except ServerUnreachableError:
            server = runtime.refresh(server)
            if server.exit_code is not None or server.restarts:
                raise_ended(runtime, server)
            raise
    return ProjectStatus(server, models, tuple(_drift(loaded, runtime, server, models)), tuple(_events(loaded, server)))


def _events(loaded: LoadedConfig, server: ModelServer) -> Iterator[str]:
    with suppress(ConfigError):  # without a workspace nothing is recorded; the drift names it
        if event := restart_event(server, read_state(require_workspace(loaded)).served):
            yield event


def _drift(
    loaded: LoadedConfig, runtime: Runtime, server: ModelServer, models: Mapping[str, list[VersionStatus]]
) -> Iterator[Drift]:
    try:
        workspace = require_workspace(loaded)
        state = read_state(workspace)
        record = require_setup(state.setup, loaded.config)
    except ConfigError as error:
        yield Drift("configuration", error.where, error.what, SETUP_AND_SERVE)
        return
    spec, server = server_spec(loaded.config, record, workspace), as_served(server, state.served)
    configured = server.digest != spec.digest() or is_configured(runtimes_of(workspace), spec)
    yield from drift(ObservedServer(server, models, configured), spec, state.served)
    yield from image_drift(runtime, spec, record.locked)
    pinned = lockfile.read(lockfile.lock_path(loaded.path))
    # A lock of another image does not concern this server.
    locked = pinned.image_digest if pinned and pinned.image == server.image else ""
    if locked and record.image_digest not in ("", locked):
        evidence = f"the lock file names {locked[:19]}, setup found {record.image_digest[:19]}"
        yield Drift("image", server.image, evidence, SETUP_AND_SERVE)


def raise_unless_served(found: ProjectStatus) -> None:
    """Raise ServerNotReadyError when some model has no version that is AVAILABLE."""
    if missing := found.unserved():
        raise ServerNotReadyError(
            f"no version is AVAILABLE of {', '.join(missing)}",
            where=found.server.project,
            fix="run invoke serve; invoke logs shows its log",
        )
