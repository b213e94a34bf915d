"""Prepared REST requests, and the answers to them, as bytes; httptools reads the answers."""

from __future__ import annotations

import json
from itertools import cycle

import httptools

from tfs_workflow.quality.bench.generator.orders import CONNECTION_LOST, Orders

_ERROR_CHARACTERS = 200


class RestWire:
    """One connection's side of HTTP/1.1, with one request on its way at a time."""

    protocol = "http/1.1"

    def __init__(self, orders: Orders) -> None:
        self._requests = cycle([_request(orders, body) for body in orders.bodies])
        self._parser = httptools.HttpResponseParser(self)
        self._is_complete = False
        # Whether the server closes the connection after this answer: `Connection: close`.
        self.is_ending = False

    def request(self) -> bytes:
        """The bytes of the next request."""
        return next(self._requests)

    def feed(self, data: bytes) -> str | None:
        """None while the answer is incomplete, empty when it is whole, else the text of its error."""
        parser = self._parser
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            return f"{CONNECTION_LOST}: no HTTP answer ({error})"
        if not self._is_complete:
            return None
        self._is_complete = False
        status = parser.get_status_code()
        return "" if status == 200 else f"HTTP {status}: {_error_text(data)}"

    def owed(self) -> bytes:
        """What the protocol itself has to say: HTTP/1.1 nothing."""
        return b""

    # httptools

    def on_message_complete(self) -> None:
        """The answer is whole; only now the parser still knows whether the connection ends with it."""
        self._is_complete, self.is_ending = True, not self._parser.should_keep_alive()


def _request(orders: Orders, body: bytes) -> bytes:
    fields = {
        "Host": f"{orders.host}:{orders.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    } | dict(orders.fields)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {orders.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def _error_text(data: bytes) -> str:
    """The server's text, from the last piece of its answer."""
    content = data.rpartition(b"\r\n\r\n")[2]
    try:
        text = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        text = content.decode(errors="replace")
    return " ".join(text.split())[:_ERROR_CHARACTERS]
