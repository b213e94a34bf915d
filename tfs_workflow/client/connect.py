"""Creates the client for an address; a transport's libraries are imported only for an address that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from tfs_workflow.client.access.credentials import NO_CREDENTIALS, Credentials
from tfs_workflow.client.access.server_certificate import trusted_certificate
from tfs_workflow.client.interface import PREDICT_TIMEOUT_S, Client, JsonClient, ServerCertificate
from tfs_workflow.errors import ConfigError, ToolMissingError

if TYPE_CHECKING:
    from tfs_workflow.client.grpc_json import GrpcJsonClient

# ruff: noqa: PLC0415  # only the transport in use is imported

_OPTIONAL = {"numpy", "grpc"}
_REST = ("http", "https")
_FORMS = "http://HOST:PORT, https://HOST:PORT, grpc://HOST:PORT, grpcs://HOST:PORT or unix:///PATH (gRPC)"


def connect(url: str, timeout_s: float = PREDICT_TIMEOUT_S, *, token: str = "", ca: str | Path = "") -> Client:
    """A client for http://127.0.0.1:8501 (REST) or grpc://127.0.0.1:8500; sends nothing yet.

    `timeout_s` bounds a prediction, in seconds. https and grpcs use TLS; unix:///PATH is gRPC over a socket. `token` is
    shown with each request. `ca` is a PEM file with the certificate of the server's authority, or its own; without it
    the system's authorities are trusted. Raises ConfigError for any other address and a `ca` that cannot be read,
    ToolMissingError where numpy or grpcio is not installed.
    """
    parts, credentials = _parts(url), Credentials(token, ca=str(ca))
    with _explained("client"):
        if parts.scheme in _REST:
            from tfs_workflow.client.rest_arrays import RestArrayClient

            return RestArrayClient(url, timeout_s, credentials)
        return _grpc(parts, timeout_s, credentials)


def connect_json(
    url: str,
    timeout_s: float = PREDICT_TIMEOUT_S,
    certificate: ServerCertificate | None = None,
    credentials: Credentials = NO_CREDENTIALS,
) -> JsonClient:
    """Like connect, for predictions in JSON; over REST it needs no numpy. grpcs trusts the certificate if given."""
    parts = _parts(url)
    with _explained("client"):
        if parts.scheme in _REST:
            from tfs_workflow.client.rest_json import RestJsonClient

            return RestJsonClient(url, timeout_s, credentials)
        return _grpc(parts, timeout_s, credentials, certificate)


def _grpc(
    parts: SplitResult, timeout_s: float, credentials: Credentials, certificate: ServerCertificate | None = None
) -> GrpcJsonClient:
    from tfs_workflow.client.grpc_json import GrpcJsonClient

    address = f"unix:{parts.path}" if parts.scheme == "unix" else parts.netloc
    if certificate is None and parts.scheme == "grpcs" and (credentials.certificate or credentials.ca):
        certificate = trusted_certificate(credentials, address)
    tls = parts.scheme == "grpcs" and (certificate or True)
    return GrpcJsonClient(address, timeout_s, tls=tls, metadata=credentials.fields)


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
