"""Which certificate a gRPC client is to trust, and the name that it is for."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfs_workflow.client.access.credentials import Credentials
from tfs_workflow.client.interface import CONNECT_TIMEOUT_S, ServerCertificate
from tfs_workflow.errors import ConfigError

if TYPE_CHECKING:
    from tfs_workflow.protos.model_server_config_pb2 import SSLConfig

_PEM = "-----BEGIN "


def trusted_certificate(credentials: Credentials, address: str) -> ServerCertificate:
    """What to trust at HOST:PORT; raises ConfigError where its file cannot be read.

    The server's own certificate is trusted whatever name it is for, so that this name is read from the server.
    """
    if credentials.ca:
        return ServerCertificate(credentials.authority)
    return ServerCertificate(credentials.pem.encode(), certified_name(address, credentials.pem))


def read_ssl_config(path: Path) -> SSLConfig:
    """The text file of the server's flag ssl_config_file.

    Raises ConfigError where it cannot be read, or holds something else than PEM text for a key or a certificate.
    """
    from google.protobuf import text_format  # noqa: PLC0415  # slow to import, and only for this flag

    from tfs_workflow.protos.model_server_config_pb2 import SSLConfig  # noqa: PLC0415

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
    return ServerCertificate(roots.encode(), certified_name(address, roots))


def certified_name(address: str, roots: str) -> str:
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
