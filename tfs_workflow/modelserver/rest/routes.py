"""The routes of the REST API, matched as TensorFlow Serving matches them (http_rest_api_handler.cc)."""

from __future__ import annotations

import re
from typing import NamedTuple

from tfs_workflow.modelserver.exchange import HEALTH, READINESS
from tfs_workflow.modelserver.rest import request_target

_API = re.compile(r"/v1/.*", re.IGNORECASE)
_MODEL = r"/v1/models{name}(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICTION = re.compile(rf"(?i:{_MODEL.format(name='/(?P<name>[^/:]+)')}:)(?P<method>(?i:classify|regress|predict))")
_STATUS = re.compile(rf"(?i:{_MODEL.format(name='(?:/(?P<name>[^/:]+))?')}(?:/(?P<method>metadata))?)")


class Route(NamedTuple):
    """What a method and a target ask for; an empty `action` is a malformed request."""

    action: str
    path: str
    name: str = ""
    version: int | None = None
    label: str | None = None


def route_of(method: str, target: bytes, metrics_path: str) -> Route:
    """What a request asks for; `metrics_path` is empty where no metrics are served."""
    parsed = request_target.parse(target)
    if parsed is None:
        return Route("400", "")
    path = parsed.routed
    if parsed.path == metrics_path or not _API.fullmatch(path):
        return Route(_action_outside(method, parsed.path, metrics_path), path)
    pattern = {"POST": _PREDICTION, "GET": _STATUS}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        return Route("", path)
    version = int(match["version"]) if match["version"] else None
    # A version is an int64; a longer number overflows in TensorFlow Serving's parsing.
    if version is not None and version >= 2**63:
        return Route("overflow", path)
    label = request_target.unquote(match["label"]) if match["label"] else None
    return Route(_action(method, match["method"]), path, request_target.unquote(match["name"] or ""), version, label)


def _action_outside(method: str, path: str, metrics_path: str) -> str:
    """What a path outside /v1 asks for."""
    if method in ("GET", "HEAD") and path in (HEALTH, READINESS):
        return path
    return "metrics" if metrics_path and path == metrics_path else "404"


def _action(method: str, named: str | None) -> str:
    """Names are matched without regard to case but compared with it, so that :PREDICT is malformed."""
    known = ("predict", "classify", "regress") if method == "POST" else ("metadata",)
    if named in known:
        return str(named)
    return "" if method == "POST" else "status"
