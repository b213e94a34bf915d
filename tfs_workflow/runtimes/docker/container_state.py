"""Reads a container as the engine describes it: labels, ports, times and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from docker.models.containers import Container

from tfs_workflow.runtimes.base import (
    DIGEST_LABEL,
    EXPOSE_LABEL,
    IMAGE_LABEL,
    MACHINE_LABEL,
    PROJECT_LABEL,
    WORKSPACE_LABEL,
    ModelServer,
)
from tfs_workflow.runtimes.docker import container
from tfs_workflow.runtimes.kinds import DOCKER


def observed_container(found: Container) -> ModelServer:
    """The container as a model server; its address is this machine."""
    attrs: dict[str, Any] = found.attrs
    state, labels = attrs["State"], attrs["Config"]["Labels"]
    runs = state["Running"] and not state["Restarting"]
    return ModelServer(
        runtime=DOCKER.name,
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
        superseded=str(found.name).endswith(container.PREVIOUS),
        on_trial=str(found.name).endswith(container.TRIAL),
    )


def _published(attrs: dict[str, Any], port: int) -> int:
    bindings = attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp") or [{"HostPort": 0}]
    return int(bindings[0]["HostPort"])


def _moment(text: str) -> datetime:
    """The engine's RFC 3339 time in UTC, whose nanoseconds Python 3.10 cannot read."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole[:19]}.{fraction[:6]:0<6}+00:00")
