"""Find, start, observe and stop the container of one project.

The name of the container is the lock: the engine refuses a second one, so that two workspaces cannot both serve one
project. A container that is replaced is renamed and stopped, and removed only when its successor serves; whatever fails
in between, the old one is started again (docs/decisions/0005-replace-and-roll-back.md).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from tfs_workflow.errors import ServerNotReadyError, ToolMissingError, WorkflowError
from tfs_workflow.runtimes.base import PROJECT_LABEL, ImageIdentity, ModelServer
from tfs_workflow.runtimes.docker import container, remote_volume
from tfs_workflow.runtimes.docker.container_state import observed_container
from tfs_workflow.runtimes.docker.engine import Engine, EngineFailedError, engine_errors
from tfs_workflow.runtimes.docker.engine_info import chosen_address, is_local
from tfs_workflow.runtimes.docker.image_pull import image_identity, pinned_reference
from tfs_workflow.runtimes.kinds import DOCKER
from tfs_workflow.runtimes.ports import port_holder
from tfs_workflow.runtimes.spec import (
    ModelSpec,
    ServerSpec,
    model_config,
    restored_config_files,
    server_files,
    write_config_files,
)

_GONE, _GOING = 404, 409  # the status for a container that is removed, or whose removal is in progress
# The engine closes a log some moments before the container counts as ended.
_END_TIMEOUT_S = 5


class DockerRuntime:
    """A container of the TensorFlow Serving image on the user's Docker engine."""

    name = DOCKER.name

    def __init__(self, engine: Engine, config_dir: Path) -> None:
        self.engine = engine
        self.config_dir = config_dir

    def find(self, project: str | None) -> list[ModelServer]:
        """Every container with the project's label (None: any), running or ended, newest first."""
        label = PROJECT_LABEL if project is None else f"{PROJECT_LABEL}={project}"
        with engine_errors("list containers"):
            found = self.engine.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
            # A trial that a killed verb left is newer than the server that it was to replace.
            return sorted((self._observed(one) for one in found), key=lambda server: server.on_trial)

    def start(self, spec: ServerSpec) -> ModelServer:
        """Create and start the container; raises ServerNotReadyError when a port is taken, and leaves none behind
        then.
        """
        files = server_files(spec, self._base_path(spec))
        write_config_files(self.config_dir, files)
        with self._volume(spec, files) as volume:
            created = self._create(spec, container.creation(spec, self.config_dir, os.getuid(), os.getgid(), volume))
        return self._started(spec, created)

    def model_config(self, spec: ServerSpec) -> str:
        """The configuration file of the models, with their base paths in the container."""
        return model_config(spec.models, self._base_path(spec))

    @contextmanager
    def trial(self, spec: ServerSpec) -> Iterator[ModelServer | None]:
        """A container of the spec for the block, with free ports of the loopback and a configuration of its own.

        None on an engine elsewhere, whose loopback cannot be reached from here.
        """
        if self._host:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="trial-", dir=self.config_dir.parent / "staging") as directory:
            # The container's user is another one where root starts it.
            Path(directory).chmod(0o755)
            write_config_files(Path(directory), server_files(spec, self._base_path(spec)))
            arguments = container.creation(spec, Path(directory), os.getuid(), os.getgid())
            created = self._create(spec, container.on_trial(arguments, spec, self.config_dir.parent))
            try:
                yield self._started(spec, created)
            finally:
                _remove(created)

    def switch(self, server: ModelServer, spec: ServerSpec, timeout_s: float) -> None:
        """None: a container has one server, whose flags do not change."""

    def _base_path(self, spec: ServerSpec) -> Callable[[ModelSpec], str]:
        return container.copied_base_path if self._host else partial(container.base_path, spec)

    def _started(self, spec: ServerSpec, created: Container) -> ModelServer:
        """Start the container, or remove it and raise."""
        try:
            with engine_errors("start the container"):
                created.start()
                created.reload()
            return self._observed(created)
        except BaseException as error:
            _remove(created)
            if isinstance(error, EngineFailedError) and _is_port_conflict(error.evidence):
                raise self._port_taken(spec, error) from error
            raise

    @cached_property
    def _host(self) -> str:
        """The engine's machine where that is another; empty for this one."""
        _, address = chosen_address()
        return "" if is_local(address) else remote_volume.host_of(address)

    def _observed(self, found: Container) -> ModelServer:
        server = observed_container(found)
        return replace(server, host=self._host) if self._host else server

    @contextmanager
    def _volume(self, spec: ServerSpec, files: dict[str, str]) -> Iterator[str]:
        """The volume that a container on another machine needs; none, "", on this one."""
        with ExitStack() as held:
            volume = ""
            if self._host:
                with engine_errors("copy the models to the engine's machine"):
                    labels = container.labels(spec, self.config_dir.parent)
                    volume = held.enter_context(remote_volume.filled_volume(self.engine.client, spec, labels, files))
            yield volume

    def _create(self, spec: ServerSpec, described: dict[str, Any]) -> Container:
        # By digest: the image that setup recorded runs, also where the tag moved.
        arguments = described | {"image": pinned_reference(self.engine, spec.image, spec.image_digest)}
        try:
            # In a thread, since Ctrl-C must not lose the id of a container that the engine is creating.
            with engine_errors("create the container"), ThreadPoolExecutor(1) as pool:
                return pool.submit(self.engine.client.containers.create, **arguments).result()
        except EngineFailedError as error:
            if "No such image" in error.evidence:
                raise ToolMissingError(
                    "the image is not on the engine (any more)",
                    where=spec.image,
                    evidence=error.evidence,
                    fix="invoke setup pulls it",
                ) from error
            if "is already in use by container" not in error.evidence:
                raise
            raise ServerNotReadyError(
                f"a container named {arguments['name']} exists already and is not this project's to replace",
                where=spec.project,
                evidence=error.evidence,
                fix="another serve of this project may be starting: try again; else rename `project` in the YAML",
            ) from error

    def _port_taken(self, spec: ServerSpec, error: EngineFailedError) -> ServerNotReadyError:
        # The engine's error need not name the port, so both are looked up.
        for key, port in (("rest_port", spec.rest_port), ("grpc_port", spec.grpc_port)):
            holder = self._container_on(port) or port_holder(port)
            if port and holder:
                return ServerNotReadyError(
                    f"port {port} is taken by {holder}",
                    where=f"server.{key}",
                    fix=f"stop it, or set server.{key} to another port or to auto",
                )
        return ServerNotReadyError(
            "a port is taken", where="server", evidence=error.evidence, fix="set the ports to auto"
        )

    def _container_on(self, port: int) -> str:
        with suppress(WorkflowError), engine_errors("list containers"):
            for one in self.engine.client.containers.list(filters={"publish": str(port)}, ignore_removed=True):
                return f"container {one.name}"
        return ""

    @contextmanager
    def replacing(self, old: ModelServer) -> Iterator[None]:
        """Stop and rename the old container for the block; restart it if the block raises, else remove it."""
        with engine_errors("find the previous container"):
            previous = self.engine.client.containers.get(old.id)
            name = str(previous.name)
        try:
            with engine_errors("stop the previous container"):
                previous.stop(timeout=10)
                previous.rename(name + container.PREVIOUS)
            with restored_config_files(self.config_dir):
                yield
        except BaseException:
            with engine_errors("restart the previous container"):
                _restart(previous, name)
            raise
        _remove(previous)

    def refresh(self, server: ModelServer) -> ModelServer:
        """The same container as the engine sees it now; one that is gone counts as killed.

        One that the engine restarted since `server` was observed has ended, whatever became of it afterwards.
        """
        with engine_errors("inspect the container"):
            try:
                found = self._observed(self.engine.client.containers.get(server.id))
            except NotFound:
                return replace(server, exit_code=137)
            if found.restarts > server.restarts and found.exit_code is None:
                return replace(found, exit_code=self._last_exit_code(found))
            return found

    def _last_exit_code(self, server: ModelServer) -> int:
        """The exit code before a restart: the container's own state lacks it, the engine's events have it."""
        died = self.engine.client.events(
            since=0, until=int(time.time()) + 1, filters={"container": server.id, "event": "die"}, decode=True
        )
        codes = [int(event["Actor"]["Attributes"]["exitCode"]) for event in died]
        return codes[-1] if codes else 1

    def resolve_image(self, reference: str) -> ImageIdentity:
        """The image that a reference names on the engine now."""
        return image_identity(self.engine, reference)

    def logs(self, server: ModelServer, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The container's log lines; with `follow`, until it ends. None of one that is gone, or just going."""
        with engine_errors("read the container's log"):
            try:
                found = self.engine.client.containers.get(server.id)
                stream = found.logs(stream=True, follow=follow, tail="all" if tail is None else tail)
            except APIError as error:
                if error.status_code not in (_GONE, _GOING):
                    raise
                return
            yield from _lines(stream)
            if follow:
                _require_end(found)

    def stop(self, server: ModelServer, timeout_s: int) -> None:
        """Stop and remove the container; no error when it is already gone."""
        with engine_errors("stop the container"), suppress(NotFound):
            found = self.engine.client.containers.get(server.id)
            found.stop(timeout=timeout_s)
            _remove(found)


def _restart(previous: Container, name: str) -> None:
    """Restart it under its old name, after the stop that an interrupt may have cut short."""
    previous.stop(timeout=1)
    previous.reload()
    if previous.name != name:
        previous.rename(name)
    previous.start()


def _remove(found: Container) -> None:
    with suppress(NotFound, APIError):  # gone, or its removal is already in progress
        found.remove(force=True, v=True)
    remote_volume.remove_volumes(found)


def _require_end(found: Container) -> None:
    """A log ends with its container; where that runs on, the engine has dropped the connection."""
    try:
        with suppress(NotFound):
            found.wait(timeout=_END_TIMEOUT_S)
    except RequestException as error:
        raise ToolMissingError(
            "lost the Docker engine while following the log",
            where=str(found.name),
            evidence="the container still runs",
            fix="see whether docker info answers, then follow it again",
        ) from error


def _lines(stream: Iterator[bytes]) -> Iterator[str]:
    pending = b""
    for chunk in stream:
        *whole, pending = (pending + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if pending:
        yield pending.decode(errors="replace")


def _is_port_conflict(evidence: str) -> bool:
    return "port is already allocated" in evidence or "address already in use" in evidence
