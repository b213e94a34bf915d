"""The container as a pure, hardened description, built from the server spec.

A model server needs few rights: to read its models, to write to /tmp, to listen on two ports. Everything else is taken
away, so that a model with a malicious operation finds neither capabilities nor a writable file system
(docs/security.md). As one pure function, a test compares it as a whole, and a right that is added shows up in a diff.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount

from tfs_workflow import __version__
from tfs_workflow.formats import savedmodel
from tfs_workflow.runtimes.base import (
    DIGEST_LABEL,
    EXPOSE_LABEL,
    IMAGE_LABEL,
    MACHINE_LABEL,
    PROJECT_LABEL,
    VERSION_LABEL,
    WORKSPACE_LABEL,
)
from tfs_workflow.runtimes.kinds import NOBODY
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec, server_flags

# The image's own script does not exec, so the server would never see SIGTERM (docs/decisions/0002).
BINARY = "/usr/bin/tensorflow_model_server"
REST_PORT, GRPC_PORT = 8501, 8500
CONFIG_DIR = "/etc/tfs-workflow"
MODELS_DIR = "/models"
# Models outside the workspace: a mount below another one would need a directory in that one's source.
OWN_MOUNTS_DIR = "/own-models"
# On an engine elsewhere one volume holds both; no model's name begins with a dot.
VOLUME_CONFIG_DIR = f"{MODELS_DIR}/.tfs-workflow"
PREFIX = "tfs-"
# The ends of the names of a server that is being replaced, and of one that is tried before it may replace another.
PREVIOUS, TRIAL = "-previous", "-trial"
# The engine waits twice as long before each: 0.1 s, 0.2 s and so on, so this one gives up after about three seconds.
RESTARTS = 5


def container_name(project: str) -> str:
    """The one name of a project's container, so that the engine itself refuses a second one."""
    return f"{PREFIX}{project}"


def base_path(spec: ServerSpec, model: ModelSpec) -> str:
    """Where the container sees a model; on an engine elsewhere, where all are copies, use `copied_base_path`."""
    return f"{OWN_MOUNTS_DIR if spec.has_own_mount(model) else MODELS_DIR}/{model.name}"


def copied_base_path(model: ModelSpec) -> str:
    """Where the container sees a model that was copied into a volume."""
    return f"{MODELS_DIR}/{model.name}"


def creation(spec: ServerSpec, config_dir: Path, uid: int, gid: int, volume: str = "") -> dict[str, Any]:
    """Arguments of docker-py's `containers.create`; `uid` and `gid` are the user's, root becomes nobody.

    `config_dir` lies in the workspace; a `volume` holds models and configuration where the engine is elsewhere.
    """
    user, group = (uid, gid) if uid else NOBODY
    return {
        "image": spec.image,
        "name": container_name(spec.project),
        "entrypoint": [BINARY],
        "command": server_flags(spec, VOLUME_CONFIG_DIR if volume else CONFIG_DIR, REST_PORT, GRPC_PORT),
        "environment": dict(spec.environment),
        "labels": labels(spec, config_dir.parent),
        # The server is then a child of an init process that reaps and forwards signals.
        "init": True,
        "user": f"{user}:{group}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": {"/tmp": "rw,nosuid,nodev,size=256m"},  # noqa: S108  # the container's own
        "pids_limit": spec.pids,
        "mem_limit": spec.memory_bytes,
        # Equal to the memory's limit: no swap. A model server that swaps answers too late to be of use.
        "memswap_limit": spec.memory_bytes,
        "nano_cpus": int(spec.cpus * 1e9) if spec.cpus else None,
        "restart_policy": {"Name": spec.restart, "MaximumRetryCount": RESTARTS} if spec.restart != "no" else None,
        "mounts": [Mount(MODELS_DIR, volume, type="volume", read_only=True)] if volume else _binds(spec, config_dir),
        "ports": {
            f"{inside}/tcp": (spec.address, outside or None)
            for inside, outside in zip((REST_PORT, GRPC_PORT), spec.ports(), strict=True)
        },
        # Bounded, and of a kind that `docker logs` can read, whatever the engine's default is.
        "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": "10m", "max-file": "3"}),
        # The user's proxy settings may hold a password, and the server needs no proxy.
        "use_config_proxy": False,
    }


def on_trial(arguments: dict[str, Any], spec: ServerSpec, workspace: Path) -> dict[str, Any]:
    """The arguments for a container beside the running one: a name of its own, free ports of the loopback."""
    return arguments | {
        "name": arguments["name"] + TRIAL,
        "ports": {f"{inside}/tcp": ("127.0.0.1", None) for inside in (REST_PORT, GRPC_PORT)},
        "restart_policy": None,
        "labels": labels(spec, workspace),
    }


def labels(spec: ServerSpec, workspace: Path) -> dict[str, str]:
    """The labels by which the container is found again, with the workspace and the machine that claim it."""
    return {
        PROJECT_LABEL: spec.project,
        DIGEST_LABEL: spec.digest(),
        WORKSPACE_LABEL: str(workspace),
        MACHINE_LABEL: socket.gethostname(),
        VERSION_LABEL: __version__,
        IMAGE_LABEL: spec.image,
        EXPOSE_LABEL: str(spec.expose).lower(),
    }


def _binds(spec: ServerSpec, config_dir: Path) -> list[Mount]:
    """The workspace's models as one mount, so that one which is added later is seen, and each model outside it."""
    shared = [_mount(MODELS_DIR, spec.models_dir)] if spec.models_dir else []
    own = (model for model in spec.models if spec.has_own_mount(model))
    mounts = (mount for model in own for mount in _own_mounts(model, base_path(spec, model)))
    return [_mount(CONFIG_DIR, config_dir), *shared, *mounts]


def _own_mounts(model: ModelSpec, target: str) -> Iterator[Mount]:
    """The base path as one mount; where versions are links, each version by itself, since links end at the mount."""
    if not model.links:
        yield _mount(target, model.base_path)
        return
    linked = dict(model.links)
    for version in savedmodel.scan(model.base_path).found:
        name = version.path.name
        yield _mount(f"{target}/{name}", linked.get(name, version.path))


def _mount(target: str, source: Path) -> Mount:
    return Mount(target=target, source=str(source.resolve()), type="bind", read_only=True)
