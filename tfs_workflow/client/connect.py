"""Creates the client for an address; a transport's libraries are imported only for an address that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from tfs_workflow.client.interface import PREDICT_TIMEOUT_S, Client, JsonClient
from tfs_workflow.errors import ConfigError, ToolMissingError

if TYPE_CHECKING:
    from tfs_workflow.client.grpc_json import GrpcJsonClient

# ruff: noqa: PLC0415  # only the transport in use is imported

_OPTIONAL = {"numpy", "grpc"}
_REST = ("http", "https")
_FORMS = "http://HOST:PORT, https://HOST:PORT, grpc://HOST:PORT, grpcs://HOST:PORT or unix:///PATH (gRPC)"


def connect(url: str, timeout_s: float = PREDICT_TIMEOUT_S) -> Client:
    """A client for http://127.0.0.1:8501 (REST) or grpc://127.0.0.1:8500; sends nothing yet.

    `timeout_s` bounds a prediction, in seconds. https and grpcs use TLS; unix:///PATH is gRPC over a socket. Raises
    ConfigError for any other address, ToolMissingError where numpy or grpcio is not installed.
    """
    parts = _parts(url)
    with _explained("client"):
        if parts.scheme in _REST:
            from tfs_workflow.client.rest_arrays import RestArrayClient

            return RestArrayClient(url, timeout_s)
        return _grpc(parts, timeout_s)


def connect_json(url: str, timeout_s: float = PREDICT_TIMEOUT_S) -> JsonClient:
    """Like connect, for predictions in JSON; over REST it needs no numpy."""
    parts = _parts(url)
    with _explained("client"):
        if parts.scheme in _REST:
            from tfs_workflow.client.rest_json import RestJsonClient

            return RestJsonClient(url, timeout_s)
        return _grpc(parts, timeout_s)


def _grpc(parts: SplitResult, timeout_s: float) -> GrpcJsonClient:
    from tfs_workflow.client.grpc_json import GrpcJsonClient

    address = f"unix:{parts.path}" if parts.scheme == "unix" else parts.netloc
    return GrpcJsonClient(address, timeout_s, tls=parts.scheme == "grpcs")


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        whole = {
            "http": bool(parts.hostname),
            "https": bool(parts.hostname),
            "grpc": bool(parts.hostname and parts.port),
            "grpcs": bool(parts.hostname and parts.port),
            "unix": bool(parts.path),
        }
    except ValueError:
        whole = {}
    if not whole.get(url.partition(":")[0].lower()):
        raise ConfigError(f"expected {_FORMS}, got {url!r}", where="connect")
    return parts


@contextmanager
def _explained(extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OPTIONAL:
            raise
        raise ToolMissingError(
            f"the package {error.name} is not installed", where="connect", fix=f"pip install 'tfs-workflow[{extra}]'"
        ) from error
