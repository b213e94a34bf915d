"""Find, start, observe and stop the container of one project.

The name of the container is the lock: the engine refuses a second one, so that two workspaces cannot both serve one
project. A container that is replaced is renamed and stopped, and removed only when its successor serves; whatever fails
in between, the old one is started again (docs/decisions/0005-replace-and-roll-back.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from tfs_workflow.errors import ServerNotReadyError, ToolMissingError, WorkflowError
from tfs_workflow.runtimes.base import (
    DIGEST_LABEL,
    EXPOSE_LABEL,
    IMAGE_LABEL,
    MACHINE_LABEL,
    PROJECT_LABEL,
    WORKSPACE_LABEL,
    ImageIdentity,
    ModelServer,
)
from tfs_workflow.runtimes.docker import container, remote_volume
from tfs_workflow.runtimes.docker.engine import Engine, EngineFailedError, engine_errors
from tfs_workflow.runtimes.docker.engine_info import chosen_address, is_local
from tfs_workflow.runtimes.docker.image_pull import image_identity, pinned_reference
from tfs_workflow.runtimes.kinds import DOCKER
from tfs_workflow.runtimes.ports import port_holder
from tfs_workflow.runtimes.spec import ServerSpec, server_files, write_config_files

PREVIOUS = "-previous"
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
            return [self._observed(one) for one in found]

    def start(self, spec: ServerSpec) -> ModelServer:
        """Create and start the container; raises ServerNotReadyError when a port is taken, and leaves none behind
        then.
        """
        files = server_files(spec, container.base_path)
        write_config_files(self.config_dir, files)
        with self._volume(spec, files) as volume:
            created = self._create(spec, volume)
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
        server = _observed(found)
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

    def _create(self, spec: ServerSpec, volume: str) -> Container:
        # By digest: the image that setup recorded runs, also where the tag moved.
        pinned = {"image": pinned_reference(self.engine, spec.image, spec.image_digest)}
        arguments = container.creation(spec, self.config_dir, os.getuid(), os.getgid(), volume) | pinned
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
                previous.rename(name + PREVIOUS)
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


def _observed(found: Container) -> ModelServer:
    attrs: dict[str, Any] = found.attrs
    state, labels = attrs["State"], attrs["Config"]["Labels"]
    runs = state["Running"] and not state["Restarting"]
    return ModelServer(
        runtime=DockerRuntime.name,
        id=str(found.id),
        project=labels[PROJECT_LABEL],
        digest=labels.get(DIGEST_LABEL, ""),
        rest_port=_published(attrs, container.REST_PORT),
        grpc_port=_published(attrs, container.GRPC_PORT),
        started_at=_moment(state["StartedAt"] if state["Running"] else attrs["Created"]),
        exit_code=None if runs else int(state["ExitCode"]),
        out_of_memory=bool(state["OOMKilled"]),
        image=labels.get(IMAGE_LABEL, attrs["Config"]["Image"]),
        image_digest=attrs["Image"],
        exposed=labels.get(EXPOSE_LABEL) == "true",
        restarts=int(attrs["RestartCount"]),
        workspace=labels.get(WORKSPACE_LABEL, ""),
        machine=labels.get(MACHINE_LABEL, ""),
        superseded=str(found.name).endswith(PREVIOUS),
    )


def _published(attrs: dict[str, Any], port: int) -> int:
    bindings = attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp") or [{"HostPort": 0}]
    return int(bindings[0]["HostPort"])


def _moment(text: str) -> datetime:
    """The engine's RFC 3339 time in UTC, whose nanoseconds Python 3.10 cannot read."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole[:19]}.{fraction[:6]:0<6}+00:00")


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
