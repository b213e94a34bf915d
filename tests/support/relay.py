"""A TCP relay that counts what passes, so that a benchmark can say how many bytes really travelled."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

_CHUNK_BYTES = 1 << 16


class CountingRelay:
    """Listens on a free port of 127.0.0.1 and passes every connection on to `target_port`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._counted_bytes = 0

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def take_bytes(self) -> int:
        """Bytes that passed in both directions since the last call."""
        with self._lock:
            counted, self._counted_bytes = self._counted_bytes, 0
        return counted

    def __enter__(self) -> CountingRelay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(_CHUNK_BYTES):
                with self._lock:
                    self._counted_bytes += len(chunk)
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()
