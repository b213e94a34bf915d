"""Creates the client for an address; a transport's libraries are imported only for an address that uses it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from tfs_workflow.client.interface import CONNECT_TIMEOUT_S, PREDICT_TIMEOUT_S, Client, JsonClient, ServerCertificate
from tfs_workflow.errors import ConfigError, ToolMissingError

if TYPE_CHECKING:
    from tfs_workflow.client.grpc_json import GrpcJsonClient
    from tfs_workflow.protos.model_server_config_pb2 import SSLConfig

# ruff: noqa: PLC0415  # only the transport in use is imported

_OPTIONAL = {"numpy", "grpc"}
_REST = ("http", "https")
_PEM = "-----BEGIN "
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


def connect_json(
    url: str, timeout_s: float = PREDICT_TIMEOUT_S, certificate: ServerCertificate | None = None
) -> JsonClient:
    """Like connect, for predictions in JSON; over REST it needs no numpy. grpcs trusts the certificate if given."""
    parts = _parts(url)
    with _explained("client"):
        if parts.scheme in _REST:
            from tfs_workflow.client.rest_json import RestJsonClient

            return RestJsonClient(url, timeout_s)
        return _grpc(parts, timeout_s, certificate)


def read_ssl_config(path: Path) -> SSLConfig:
    """The text file of the server's flag ssl_config_file.

    Raises ConfigError where it cannot be read, or holds something else than PEM text for a key or a certificate.
    """
    from google.protobuf import text_format

    from tfs_workflow.protos.model_server_config_pb2 import SSLConfig

    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), SSLConfig())
    except OSError as error:
        raise ConfigError("cannot be read", where=str(path), evidence=str(error.strerror)) from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        fix = 'write server_key: "…" and server_cert: "…", each with PEM text'
        raise ConfigError("not an SSLConfig in text form", where=str(path), evidence=str(error), fix=fix) from error
    for name in ("server_key", "server_cert", "custom_ca"):
        if getattr(config, name) and _PEM not in getattr(config, name):
            fix = f'put the content of the PEM file there, with \\n for its line ends: {name}: "{_PEM}…"'
            raise ConfigError(f"{name} is not PEM text; a path is not read", where=str(path), fix=fix)
    return config


def server_certificate(path: Path, address: str) -> ServerCertificate:
    """How to trust the server at HOST:PORT that was started with this ssl_config_file; raises ConfigError.

    A certificate is for a name and seldom for a loopback address, so that the name is read from the server's own.
    """
    config = read_ssl_config(path)
    if config.client_verify:
        fix = "use --transport rest, which has no TLS, or a client of your own with its certificate"
        raise ConfigError("the server wants a certificate of the client", where=str(path), fix=fix)
    roots = config.server_cert + config.custom_ca
    return ServerCertificate(roots.encode(), _certified_name(address, roots))


def _certified_name(address: str, roots: str) -> str:
    """The first name of the certificate that the server shows; empty where it shows none that can be trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    try:
        context.load_verify_locations(cadata=roots)
        with (
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S) as connection,
            context.wrap_socket(connection) as shown,
        ):
            found: Any = shown.getpeercert() or {}
    except (OSError, ValueError):  # gRPC finds the same fault and reports it
        return ""
    names = [name for _, name in found.get("subjectAltName", ())]
    names += [value for pairs in found.get("subject", ()) for key, value in pairs if key == "commonName"]
    return next((name.replace("*", "any") for name in names), "")


def _grpc(parts: SplitResult, timeout_s: float, certificate: ServerCertificate | None = None) -> GrpcJsonClient:
    from tfs_workflow.client.grpc_json import GrpcJsonClient

    address = f"unix:{parts.path}" if parts.scheme == "unix" else parts.netloc
    return GrpcJsonClient(address, timeout_s, tls=parts.scheme == "grpcs" and (certificate or True))


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
