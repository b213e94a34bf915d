"""Facts about the Docker engine, as plain data for the checks.

Doctor examines an engine in a thread with a deadline, and its checks are tested without one. So all queries are made
here, at once, and the checks take the result as plain data.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docker.context import ContextAPI
from docker.errors import ImageNotFound

from tfs_workflow.runtimes.base import PROJECT_LABEL
from tfs_workflow.runtimes.docker.engine import Engine, engine_errors

# Short, since doctor waits for the answer.
ANSWER_TIMEOUT_S = 5
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Holder:
    """A container that publishes a port, and the project of its label (empty for none)."""

    name: str
    project: str


@dataclass(frozen=True)
class EngineFacts:
    """One engine. `origin` is what chose it: DOCKER_HOST or the context's name.

    `free_bytes` is the space below its root directory, None where that is not on this machine; `clock_ahead_s` how
    far its clock is ahead of ours; `image_architecture` is empty while the image is not on the engine.
    """

    address: str
    origin: str
    local: bool
    version: str
    architecture: str
    memory_bytes: int
    processors: int = 0
    runtimes: tuple[str, ...] = ()
    default_runtime: str = "runc"
    rootless: bool = False
    podman: bool = False
    free_bytes: int | None = None
    clock_ahead_s: float = 0.0
    image_architecture: str = ""
    published: Mapping[int, Holder] | None = None


def chosen_address() -> tuple[str, str]:
    """What selected the engine, and its address; makes no network call."""
    if host := os.environ.get("DOCKER_HOST"):
        return "DOCKER_HOST", host
    with engine_errors("read the docker context"):
        context = ContextAPI.get_current_context()
        return f"context {context.name}", str(context.Host)


def is_local(address: str) -> bool:
    """Whether the engine can mount directories of this machine.

    A unix socket or a named pipe, or an address on the loopback. A tunnel to another machine looks local, too.
    """
    parts = urlsplit(address)
    return parts.scheme not in ("tcp", "http", "https", "ssh") or parts.hostname in _LOOPBACK


def engine_facts(reference: str) -> EngineFacts:
    """Ask the engine; `reference` is the image that is to run. Raises ToolMissingError when it cannot be had."""
    origin, address = chosen_address()
    client = Engine(ANSWER_TIMEOUT_S).client
    with engine_errors("query the engine"):
        # Before the query: the engine's clock cannot be read at the same moment as ours, so the answer's duration is
        # the error.
        before_s = time.time()
        info, version, containers = client.info(), client.version(), client.api.containers()
        image = _image_architecture(client, reference)
    local = is_local(address)
    return EngineFacts(
        address=address,
        origin=origin,
        local=local,
        version=str(version.get("Version", "")),
        architecture=_architecture(str(info.get("Architecture", ""))),
        memory_bytes=int(info.get("MemTotal") or 0),
        processors=int(info.get("NCPU") or 0),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        default_runtime=str(info.get("DefaultRuntime", "")),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
        podman=any("Podman" in str(part.get("Name")) for part in version.get("Components") or ()),
        free_bytes=_free_bytes(str(info.get("DockerRootDir", ""))) if local else None,
        clock_ahead_s=_clock_ahead_s(str(info.get("SystemTime", "")), before_s),
        image_architecture=image,
        published=_published(containers),
    )


def _image_architecture(client: Any, reference: str) -> str:
    try:
        return _architecture(str(client.images.get(reference).attrs.get("Architecture", "")))
    except ImageNotFound:
        return ""


def _architecture(name: str) -> str:
    """Docker's names for images: amd64, arm64."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)


def _free_bytes(root_dir: str) -> int | None:
    try:
        return shutil.disk_usage(root_dir).free if Path(root_dir).is_absolute() else None
    except OSError:
        return None  # in a virtual machine, as on macOS


def _clock_ahead_s(system_time: str, before_s: float) -> float:
    """0 within the time that the answer took, which is the precision of the measurement."""
    try:
        theirs = datetime.fromisoformat(system_time[:19] + "+00:00").timestamp()
    except ValueError:
        return 0.0
    if before_s - 1 <= theirs <= time.time():
        return 0.0
    return theirs - before_s


def _published(containers: list[dict[str, Any]]) -> dict[int, Holder]:
    return {
        int(port["PublicPort"]): Holder(
            str(one["Names"][0]).lstrip("/"), str((one.get("Labels") or {}).get(PROJECT_LABEL, ""))
        )
        for one in containers
        for port in one.get("Ports") or ()
        if port.get("PublicPort")
    }
