"""Prepared gRPC requests, and the answers to them, as bytes; libnghttp2 (ngh2) speaks HTTP/2.

A call of grpcio costs the client several times what it costs the server, so that grpcio would be what is measured.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import cycle
from urllib.parse import unquote

import ngh2

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.quality.bench.generator.orders import CONNECTION_LOST, Orders

# Answers need not wait for us to open the window again.
_WINDOW_BYTES = 2**24
_ERROR_CHARACTERS = 200


class GrpcWire:
    """One connection's side of gRPC, with one call on its way at a time."""

    protocol = "h2"

    def __init__(self, orders: Orders) -> None:
        self._bodies = cycle([struct.pack(">BI", 0, len(body)) + body for body in orders.bodies])
        self._head = _head(orders)
        self._session = ngh2.Connection(ngh2.Role.CLIENT)
        self._session.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: _WINDOW_BYTES})
        self._session.set_local_window_size(_WINDOW_BYTES)
        self._status: str | None = None
        # Whether the server takes no further call on this connection: GOAWAY.
        self.is_ending = False

    def request(self) -> bytes:
        """The bytes of the next call, as many as the server's window takes."""
        stream = self._session.send_request(self._head)
        self._session.send_data(stream, next(self._bodies), end_stream=True)
        self._status = None
        return self.owed()

    def feed(self, data: bytes) -> str | None:
        """None while the answer is incomplete, empty when it is whole, else the text of its error."""
        try:
            self._session.receive_data(data)
        except ngh2.NGH2Error as error:
            return f"{CONNECTION_LOST}: no HTTP/2 answer ({error})"
        outcome = None
        for event in self._session.events():
            if isinstance(event, (ngh2.ResponseReceived, ngh2.TrailersReceived)):
                self._status = _status(event.headers, self._status)
            elif isinstance(event, ngh2.StreamReset):
                outcome = "the server reset the call"
            elif isinstance(event, ngh2.StreamClosed):
                outcome = outcome or ("the answer has no gRPC status" if self._status is None else self._status)
            elif isinstance(event, ngh2.GoAwayReceived):
                self.is_ending = True
        return outcome

    def owed(self) -> bytes:
        """What the protocol itself has to say: acknowledgements, windows, and the rest of a large request."""
        return self._session.data_to_send()


def _head(orders: Orders) -> list[tuple[bytes, bytes]]:
    fields = {
        ":method": "POST",
        ":scheme": "https" if orders.certificate else "http",
        ":authority": f"{orders.host}:{orders.port}",
        ":path": orders.path,
        "te": "trailers",
        "content-type": "application/grpc",
    } | dict(orders.fields)
    return [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]


def _status(headers: Iterable[tuple[bytes, bytes]], before: str | None) -> str | None:
    """Empty for gRPC's OK, the text of another status, or what was known before where there is none."""
    fields = dict(headers)
    number = fields.get(b"grpc-status")
    if number is None:
        return before
    if number == b"0":
        return ""
    name = Code(int(number)).name if number.isdigit() and int(number) in list(Code) else number.decode()
    return f"gRPC {name}: {unquote(fields.get(b'grpc-message', b'').decode('latin-1'))}"[:_ERROR_CHARACTERS]
