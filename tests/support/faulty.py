"""An HTTP server that answers for real, except where a fault is put in front of it."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

CHUNK_BYTES = 1 << 14


@dataclass
class Fault:
    """What happens to answers: instead of them a status, or after some bytes of the body a cut or a silence.

    It meets the first `times` requests whose "METHOD path" matches; None means for ever.
    """

    path: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"a fault\n"
    cut_after_bytes: int | None = None
    silent_after_bytes: int | None = None
    times: int | None = None
    met: int = 0


@dataclass(frozen=True)
class Request:
    """One request, its body read."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """One answer; without a Content-Length it is sent in chunks."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterable[bytes] = ()


class FaultyServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1; `faults` may be changed while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.headers_seen: list[dict[str, str]] = []
        self.credentials = ""
        self.reached = threading.Event()
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        """What the server says when no fault is in the way."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(self, **fault: Any) -> Fault:
        """Put this fault in front, before those that are there."""
        self.faults.insert(0, Fault(**fault))
        return self.faults[0]

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets, counted."""
        line = f"{request.method} {request.path}"
        with self._lock:
            self.requests.append(line)
            self.headers_seen.append(request.headers)
            for fault in self.faults:
                if re.search(fault.path, line) and (fault.times is None or fault.met < fault.times):
                    fault.met += 1
                    return fault
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what these tests are about."""


Server = TypeVar("Server", bound=FaultyServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server, answering until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:  # the name that http.server asks for
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self._body())
        fault = self.server.take(request) or Fault()
        if self.server.credentials and request.headers.get("authorization") != self.server.credentials:
            fault = Fault(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        if fault.status:
            headers = [*fault.headers.items(), ("Content-Length", str(len(fault.body)))]
            self._send(Response(fault.status, headers, [fault.body]), Fault())
        else:
            self._send(self.server.answer(request), fault)

    do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests look at `requests`."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, response: Response, fault: Fault) -> None:
        chunked = not any(name.lower() == "content-length" for name, _ in response.headers) and response.status != 304
        self.send_response(response.status)
        for name, value in response.headers + ([("Transfer-Encoding", "chunked")] if chunked else []):
            self.send_header(name, value)
        self.end_headers()
        sent_bytes = 0
        for chunk in response.body if self.command != "HEAD" else ():
            allowed = self._allowed(fault, sent_bytes, chunk)
            self._write(allowed, chunked)
            sent_bytes += len(allowed)
            if len(allowed) < len(chunk):
                self._break(fault)
                return
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _allowed(self, fault: Fault, sent_bytes: int, chunk: bytes) -> bytes:
        limits = [limit for limit in (fault.cut_after_bytes, fault.silent_after_bytes) if limit is not None]
        return chunk[: max(0, min(limits) - sent_bytes)] if limits else chunk

    def _write(self, chunk: bytes, chunked: bool) -> None:
        if chunk:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
            self.wfile.flush()

    def _break(self, fault: Fault) -> None:
        self.close_connection = True
        self.server.reached.set()
        if fault.silent_after_bytes is not None:
            self.server.closing.wait()
        # Closing with this option set resets the connection, as a router or a crash would.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
