"""The client for a running server of this project, over either transport."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.client.access.server_certificate import server_certificate
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient
from tfs_workflow.config.types import Config
from tfs_workflow.runtimes.base import ModelServer

REST, GRPC = "rest", "grpc"


def connected(config: Config, server: ModelServer, transport: str = REST) -> JsonClient:
    """The client for the transport; over gRPC with TLS where the server has a certificate."""
    credentials = server.credentials()
    if transport == REST:
        return connect_json(server.rest_url, credentials=credentials)
    path = str(config.server.flags.get("ssl_config_file", ""))
    if not path:
        return connect_json(
            f"{'grpcs' if server.certificate else 'grpc'}://{server.grpc_target}", credentials=credentials
        )
    certificate = server_certificate(Path(path), server.grpc_target)
    return connect_json(f"grpcs://{server.grpc_target}", certificate=certificate, credentials=credentials)
