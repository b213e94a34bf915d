"""A socket in front of a Docker engine that is slow, silent, or drops the connection in the middle of an answer."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

CHUNK_BYTES = 1 << 14


@dataclass
class EngineFault:
    """What happens to the answers of requests whose "METHOD path" matches.

    `delay_s` before each piece; after `cut_after_bytes` of the answer the connection ends, or with `silent` says
    nothing more. It meets the first `times` such requests.
    """

    request: str = ""
    delay_s: float = 0.0
    cut_after_bytes: int | None = None
    silent: bool = False
    times: int = 1 << 30
    met: int = 0


class EngineProxy:
    """Listens on `listening` for an engine that listens elsewhere; `fault` may be changed while it runs."""

    def __init__(self, engine: Path, listening: Path) -> None:
        self._engine = engine
        self.socket = listening
        self.fault = EngineFault()
        self._listener = socket.socket(socket.AF_UNIX)
        self._closing = threading.Event()

    @property
    def host(self) -> str:
        """What DOCKER_HOST is set to."""
        return f"unix://{self.socket}"

    def __enter__(self) -> EngineProxy:
        self._listener.bind(str(self.socket))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._engine))
                except OSError:  # the engine is stopped
                    client.close()
                    continue
                _Connection(client, server, self).start()


class _Connection:
    """One client's connection: requests go through as they are, answers as the fault wants."""

    def __init__(self, client: socket.socket, server: socket.socket, proxy: EngineProxy) -> None:
        self._client, self._server, self._proxy = client, server, proxy
        self._fault: EngineFault | None = None
        self._answered_bytes = 0

    def start(self) -> None:
        for pump in (self._requests, self._answers):
            threading.Thread(target=pump, daemon=True).start()

    def _requests(self) -> None:
        with suppress(OSError):
            while chunk := self._client.recv(CHUNK_BYTES):
                self._meet(chunk)
                self._server.sendall(chunk)
            self._server.shutdown(socket.SHUT_WR)

    def _meet(self, chunk: bytes) -> None:
        line = re.match(rb"([A-Z]+ \S+) HTTP/1", chunk)
        if line is None:  # a part of a body
            return
        fault = self._proxy.fault
        matches = fault.met < fault.times and re.search(fault.request, line[1].decode()) is not None
        fault.met += matches
        self._fault, self._answered_bytes = (fault if matches else None), 0

    def _answers(self) -> None:
        with suppress(OSError):
            while chunk := self._server.recv(CHUNK_BYTES):
                fault = self._fault or EngineFault()
                time.sleep(fault.delay_s)
                if fault.cut_after_bytes is not None and self._answered_bytes + len(chunk) >= fault.cut_after_bytes:
                    self._client.sendall(chunk[: fault.cut_after_bytes - self._answered_bytes])
                    if fault.silent:
                        self._proxy._closing.wait()
                    break
                self._answered_bytes += len(chunk)
                self._client.sendall(chunk)
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
