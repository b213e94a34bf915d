"""What each verb shows, as pure values: lines for people and documents for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from tfs_workflow.config import Config
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.serving.client import VersionStatus
from tfs_workflow.workflow import SetUp, TornDown

Statuses = Mapping[str, Sequence[VersionStatus]]


def setup_lines(done: SetUp) -> Iterator[str]:
    """One line a model and one for the runtime."""
    for name, model in done.models.items():
        yield f"{name}  {model.description}" + (f"  {model.commit[:12]}" if model.commit else "")
    yield f"runtime  {done.choice.runtime}  ({done.choice.reason})"


def setup_document(done: SetUp) -> dict[str, Any]:
    """Workspace, runtime, lock and where each model lies."""
    return {
        "workspace": str(done.workspace),
        "runtime": done.choice.runtime,
        "reason": done.choice.reason,
        "image_digest": done.choice.image_digest,
        "lock": str(done.lock),
        "models": {
            name: {"base_path": str(model.base_path), "source": model.description, "commit": model.commit}
            for name, model in done.models.items()
        },
    }


def server_line(server: ModelServer) -> Iterator[str]:
    """Project, runtime, image, ports and uptime."""
    image = f"  {server.image}  {server.image_digest[:19]}" if server.image else ""
    yield f"{server.project}  {server.runtime}{image}"
    yield f"REST {server.rest_url}  gRPC {server.grpc_target}  up {uptime(server, datetime.now(timezone.utc))}"


def model_lines(server: ModelServer, models: Statuses) -> Iterator[str]:
    """Name, version, state and address of every version."""
    for name, versions in models.items():
        for version in versions:
            error = f"  {version.error_message}" if version.error_message else ""
            yield f"{name}  v{version.version}  {version.state.value}  {server.rest_url}/v1/models/{name}{error}"


def server_document(server: ModelServer, models: Statuses) -> dict[str, Any]:
    """The server and the status of each version."""
    return {
        "project": server.project,
        "runtime": server.runtime,
        "id": server.id,
        "image": server.image,
        "image_digest": server.image_digest,
        "rest_url": server.rest_url,
        "grpc_target": server.grpc_target,
        "started_at": server.started_at.isoformat(),
        "models": {name: [_version_document(v) for v in versions] for name, versions in models.items()},
    }


def _version_document(version: VersionStatus) -> dict[str, Any]:
    return {
        "version": version.version,
        "state": version.state.value,
        "error_code": version.error_code,
        "error_message": version.error_message,
    }


def teardown_lines(done: TornDown) -> Iterator[str]:
    """What was removed."""
    for server in done.servers:
        yield f"removed {server.runtime} server {server.id[:12]}"
    if not done.servers:
        yield "no server of this project to remove"
    if done.workspace:
        yield f"removed workspace {done.workspace}"
    if done.image:
        yield f"removed image {done.image}"


def teardown_document(done: TornDown) -> dict[str, Any]:
    """What was removed, as ids and paths."""
    servers = [{"runtime": server.runtime, "id": server.id} for server in done.servers]
    return {"servers": servers, "workspace": str(done.workspace or ""), "image": done.image}


def uptime(server: ModelServer, now: datetime) -> str:
    """How long the server runs, in words."""
    seconds = max(0, int((now - server.started_at).total_seconds()))
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def curl_line(config: Config, server: ModelServer) -> str:
    """A request that works when it is pasted into a shell: the first example of the YAML, else the metadata."""
    for name, model in config.models.items():
        if model.example is not None:
            body = model.example.model_dump(exclude_none=True)
            if signature := body.pop("signature", None):
                body = {"signature_name": signature} | body
            return f"curl -d {shlex.quote(json.dumps(body))} {server.rest_url}/v1/models/{name}:predict"
    return f"curl {server.rest_url}/v1/models/{next(iter(config.models))}/metadata"
