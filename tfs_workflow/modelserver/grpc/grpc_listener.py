"""Listens for gRPC on the port and the socket that the flags name, with TLS where it is configured.

An address or a certificate that cannot be used ends the start, as in TensorFlow Serving. REST differs: there only an
error is logged, and gRPC goes on alone (server.py, `_listen`).
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from pathlib import Path

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.exchange import GrpcApp
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.grpc.grpc_connection import GrpcConnection
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections
from tfs_workflow.modelserver.net.sockets import bound_socket
from tfs_workflow.modelserver.status_error import invalid_argument
from tfs_workflow.protos.model_server_config_pb2 import SSLConfig


async def start(app: GrpcApp, flags: Flags, limits: ConnectionLimits, tls: SSLConfig | None) -> Connections[GrpcApp]:
    """Listen, with TLS where `tls` is given; raises StatusError when an address or a certificate cannot be used."""
    connections = Connections(GrpcConnection, app, limits)
    loop = asyncio.get_running_loop()
    context = _context(tls, flags.ssl_config_file) if tls else None
    addresses = []
    try:
        if flags.port:
            # All IPv4 addresses, as TensorFlow Serving.
            addresses.append(f"{flags.bind_address or '0.0.0.0'}:{flags.port}")  # noqa: S104
            listener = bound_socket(flags.bind_address or "0.0.0.0", flags.port)  # noqa: S104
            await loop.create_server(connections, sock=listener, backlog=1024, ssl=context)
        if flags.grpc_socket_path:
            addresses.append(f"unix:{flags.grpc_socket_path}")
            await loop.create_unix_server(connections, flags.grpc_socket_path, ssl=context)
    except OSError as error:
        raise invalid_argument(f"Failed to BuildAndStart gRPC server: {addresses[-1]}: {error}") from error
    for address in addresses:
        log.info("model_servers/server.cc", f"Running gRPC ModelServer at {address} ...")
    return connections


def _context(config: SSLConfig, path: str) -> ssl.SSLContext:
    """The TLS settings of an SSLConfig, read from `path`; raises StatusError when they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A gRPC client refuses a server that does not select h2 in the TLS handshake.
    context.set_alpn_protocols(["h2"])
    try:
        # OpenSSL reads a key from a file only; this one is ours alone and gone at once.
        with tempfile.TemporaryDirectory() as directory:
            key, certificate = Path(directory, "key"), Path(directory, "certificate")
            key.write_text(config.server_key)
            certificate.write_text(config.server_cert)
            context.load_cert_chain(certificate, key)
        if config.custom_ca:
            context.load_verify_locations(cadata=config.custom_ca)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise invalid_argument(f"Invalid SSL config file {path}: {error}") from error
    if config.client_verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
