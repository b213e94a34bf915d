"""Formats a server and its models, for serve and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tfs_workflow.cli import console
from tfs_workflow.cli.program_name import in_words_of_the_program
from tfs_workflow.client.access.curl import curl_access
from tfs_workflow.client.interface import VersionStatus
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import WorkflowError
from tfs_workflow.formats.example_request import ExampleRequest, curl_line
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.model.model_request import model_request
from tfs_workflow.workflow.plan.difference import Drift

if TYPE_CHECKING:
    from tfs_workflow.health.diagnosis import Diagnosis

Statuses = Mapping[str, Sequence[VersionStatus]]


def server_lines(server: ModelServer) -> Iterator[str]:
    """Project, runtime, image, ports and uptime."""
    image = f"  {server.image}  {server.image_digest[:19]}" if server.image else ""
    yield f"{server.project}  {server.runtime}{image}"
    yield f"REST {server.rest_url}  gRPC {server.grpc_target}  up {uptime(server, datetime.now(timezone.utc))}"


def model_lines(server: ModelServer, models: Statuses) -> Iterator[str]:
    """Name, version, state and address of every version."""
    for name, versions in models.items():
        for version in versions:
            error = f"  {version.error_message}" if version.error_message else ""
            state = console.state_coloured(version.state.value)
            yield f"{name}  v{version.version}  {state}  {server.rest_url}/v1/models/{name}{error}"
            if found := _diagnosis(version):
                yield in_words_of_the_program(f"  {found.name}: {found.cause}; {found.fix}")


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


def drift_document(drift: Drift) -> dict[str, Any]:
    """One drift, with the program in use named in its fix."""
    document = asdict(drift)
    return document | {"fix": in_words_of_the_program(document["fix"])}


def _diagnosis(version: VersionStatus) -> Diagnosis | None:
    """Why a version ended with an error; None for any other."""
    if version.state.value != "END" or version.error_code == "OK":
        return None
    from tfs_workflow.health.diagnosis import ended_version  # noqa: PLC0415  # only where something failed

    return ended_version(version.error_code, version.error_message)


def _version_document(version: VersionStatus) -> dict[str, Any]:
    found = _diagnosis(version)
    return {
        "version": version.version,
        "state": version.state.value,
        "error_code": version.error_code,
        "error_message": version.error_message,
        "diagnosis": found.name if found else "",
    }


def uptime(server: ModelServer, now: datetime) -> str:
    """The time since the server started, in words."""
    minutes, seconds = divmod(max(0, int((now - server.started_at).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def curl_lines(
    loaded: LoadedConfig, server: ModelServer, requests: Mapping[str, ExampleRequest | None]
) -> Iterator[str]:
    """A working curl command for each model: a request, or its metadata where no request can be generated.

    `requests` are by model name; one that is not among them is read from the model's files.
    """
    curl, address = curl_access(server.rest_url, server.credentials(), server.token_file)
    for name in loaded.config.models:
        url = f"{address}/v1/models/{name}"
        line = ""
        with suppress(WorkflowError):  # a model without a signature is served all the same
            line = curl_line(url, requests.get(name) or model_request(loaded, name), curl)
        yield line or f"{curl} {url}/metadata"
