"""Files that may be replaced while the server runs: a certificate that was renewed, a token that was changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument


class WatchedFiles:
    """Some files, and what they looked like when they were read last."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self._seen = self._look()

    def _look(self) -> list[tuple[int, ...]]:
        return [_look(path) for path in self._paths]

    def renew(self, read_again: Callable[[], None]) -> None:
        """Call it where they have changed since; its StatusError is logged, and what was read before stays in use."""
        now = self._look()
        if now == self._seen:
            return
        self._seen = now
        try:
            read_again()
        except StatusError as error:
            log.error("model_servers/server.cc", f"What was read before stays in use. Error: {error}")


def read(path: str) -> bytes:
    """The content of a file; raises StatusError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise invalid_argument(f"Cannot read {path}: {error.strerror}") from error


def _look(path: str) -> tuple[int, ...]:
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
