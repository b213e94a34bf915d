"""What the REST API says of models: their versions' states, and their signatures (http_rest_api_handler.cc)."""

from __future__ import annotations

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.models.model_repository import ModelRepository
from tfs_workflow.modelserver.rest import json_response
from tfs_workflow.modelserver.rest.json_response import VersionEntry
from tfs_workflow.modelserver.rest.routes import Route
from tfs_workflow.modelserver.status_error import SilentError, StatusError, invalid_argument
from tfs_workflow.protos.serving_apis_pb2 import SignatureDefMap


def describe(repository: ModelRepository, route: Route, method: str) -> bytes:
    """The answer to a request for a model's status or metadata; raises StatusError, also for any other request."""
    if route.action == "overflow":
        raise SilentError(Code.INVALID_ARGUMENT, "")
    if route.action not in ("status", "metadata"):
        raise invalid_argument(f"Malformed request: {method} {route.path}")
    if not route.name and route.action == "status" and not route.path.endswith("/"):
        return json_response.model_list({name: _entries_or_none(repository, name) for name in repository.names()})
    if not route.name:
        raise invalid_argument("Missing model name in request.")
    if route.action == "metadata":
        servable = repository.servable(route.name, route.version, route.label)
        return json_response.metadata(route.name, servable.version, SignatureDefMap(signature_def=servable.signatures))
    return json_response.model_status(_entries(repository, route.name, route.version))


def _entries(repository: ModelRepository, name: str, version: int | None = None) -> list[VersionEntry]:
    return [
        (v.number, v.state.name, v.error.code.name if v.error else "OK", v.error.message if v.error else "")
        for v in repository.versions(name, version)
    ]


def _entries_or_none(repository: ModelRepository, name: str) -> list[VersionEntry]:
    try:
        return _entries(repository, name)
    except StatusError:  # no version has appeared yet
        return []
