"""One connection of the load generator: a socket that never blocks, and one request on its way at a time."""

from __future__ import annotations

import socket
import ssl

from tfs_workflow.client.access.credentials import Credentials, over_tls
from tfs_workflow.quality.bench.generator.grpc_wire import GrpcWire
from tfs_workflow.quality.bench.generator.orders import CONNECTION_LOST, GRPC, Orders
from tfs_workflow.quality.bench.generator.rest_wire import RestWire

_CONNECT_TIMEOUT_S = 5.0
# Above 128 KiB each read would map fresh memory, which costs more than all else of a small request.
_READ_BYTES = 2**16
# What a socket says that has nothing more to give, or takes nothing more, for now.
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """Opened at once; raises OSError where nothing listens.

    `due_ns` is when the request on its way was due, 0 for none; `has_answered` whether any answer came.
    """

    __slots__ = ("_unsent", "due_ns", "has_answered", "is_blocked", "number", "socket", "wire")

    def __init__(self, orders: Orders) -> None:
        self.wire = GrpcWire(orders) if orders.transport == GRPC else RestWire(orders)
        plain = socket.create_connection((orders.host, orders.port), _CONNECT_TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = over_tls(plain, Credentials(certificate=orders.certificate), self.wire.protocol)
        self.socket.setblocking(False)
        self.number = self.socket.fileno()
        self.due_ns = 0
        self.has_answered = self.is_blocked = False
        self._unsent = b""

    def start(self, due_ns: int) -> None:
        """Send the next request, which was due at this moment; raises OSError."""
        self.due_ns = due_ns
        self.send(self.wire.request())

    def send(self, data: bytes) -> None:
        """Send, and keep what the socket does not take yet; `is_blocked` tells that there is such a rest."""
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self.socket.send(data)
        except _LATER:
            sent = 0
        if sent < len(data):
            self._unsent, self.is_blocked = data[sent:], True

    def send_rest(self) -> None:
        """Send what the socket did not take before; raises OSError."""
        rest, self._unsent, self.is_blocked = self._unsent, b"", False
        self.send(rest)

    def receive(self) -> str | None:
        """Read what is there: None while the answer is incomplete, empty when it is whole, else the text of its error.

        Raises OSError.
        """
        wire, outcome = self.wire, None
        # Over TLS, one record may hold more than was read: the socket itself is not readable then.
        while outcome is None:
            try:
                data = self.socket.recv(_READ_BYTES)
            except _LATER:
                return None
            outcome = wire.feed(data) if data else CONNECTION_LOST
            if owed := wire.owed():
                self.send(owed)
            if outcome is None and len(data) < _READ_BYTES and type(self.socket) is socket.socket:
                return None
        return outcome

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
