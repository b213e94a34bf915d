"""The listening sockets of REST and gRPC, as the flags name them, and the log lines that go with them.

Sockets are bound before anything is loaded and listen once the first models are AVAILABLE: a health check relies on
the refusal until then. TensorFlow Serving treats the two ports differently. A gRPC address that cannot be used ends the
start; where REST cannot listen, an error is logged, and gRPC goes on alone.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.net.sockets import bound_socket
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument

_SERVER = "model_servers/server.cc"
_BACKLOG = 1024


class Listener(NamedTuple):
    """A bound socket and the address that is logged for it."""

    socket: socket.socket
    address: str


class Listeners(NamedTuple):
    """All sockets of a server; `rest_failure` is why there is none for REST, if one was wanted."""

    grpc: list[Listener]
    rest: list[Listener]
    rest_failure: str = ""

    def listen(self) -> Listeners:
        """Listen on each, and log it; returns those that listen. Raises StatusError where gRPC cannot."""
        for listener in self.grpc:
            try:
                listener.socket.listen(_BACKLOG)
            except OSError as error:
                raise _unusable(listener.address, error) from error
            log.info("model_servers/server.cc", f"Running gRPC ModelServer at {listener.address} ...")
        return self._replace(rest=self._listen_rest())

    def _listen_rest(self) -> list[Listener]:
        if self.rest_failure:
            log.error(_SERVER, self.rest_failure)
        for listener in self.rest:
            try:
                listener.socket.listen(_BACKLOG)
            except OSError as error:
                log.error(_SERVER, _not_started(listener.address, error))
                listener.socket.close()
                return []
            log.info(_SERVER, f"Exporting HTTP/REST API at:{listener.address} ...")
        return self.rest

    def close(self) -> None:
        """Close them in this process."""
        for listener in (*self.grpc, *self.rest):
            listener.socket.close()


def bind(flags: Flags) -> Listeners:
    """Sockets for the ports that the flags name; raises StatusError where gRPC cannot be bound."""
    grpc = _grpc(flags)
    if not flags.rest_api_port:
        return Listeners(grpc, [])
    if flags.rest_api_port == flags.port:
        equal = "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
        return Listeners(grpc, [], f"{equal}Skipped exporting HTTP/REST API.")
    address = f"localhost:{flags.rest_api_port}"
    try:
        return Listeners(grpc, [Listener(bound_socket(flags.bind_address, flags.rest_api_port), address)])
    except OSError as error:
        return Listeners(grpc, [], _not_started(address, error))


def _grpc(flags: Flags) -> list[Listener]:
    bound, address = [], ""
    try:
        if flags.port:
            # All IPv4 addresses, as TensorFlow Serving.
            host = flags.bind_address or "0.0.0.0"  # noqa: S104
            address = f"{host}:{flags.port}"
            bound.append(Listener(bound_socket(host, flags.port), address))
        if flags.grpc_socket_path:
            address = f"unix:{flags.grpc_socket_path}"
            bound.append(Listener(_bound_path(flags.grpc_socket_path), address))
    except OSError as error:
        raise _unusable(address, error) from error
    return bound


def _bound_path(path: str) -> socket.socket:
    """A socket bound to a path; one that a server left behind is replaced, as asyncio does it."""
    if Path(path).is_socket():
        Path(path).unlink()
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(path)
    except OSError:
        bound.close()
        raise
    return bound


def _unusable(address: str, error: OSError) -> StatusError:
    return invalid_argument(f"Failed to BuildAndStart gRPC server: {address}: {error}")


def _not_started(address: str, error: OSError) -> str:
    return f"Failed to start HTTP Server at {address}: {error}"
