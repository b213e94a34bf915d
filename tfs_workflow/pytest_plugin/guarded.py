"""Starts a server in the care of a process that tears it down when this one is gone, however it ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfs_workflow.client.connect import connect
from tfs_workflow.client.interface import Client

# Longer than the server's own time to stop, after which it is killed.
_TEARDOWN_S = 60


class GuardedServerError(Exception):
    """The server did not start; the text is the message that `serve` would print."""


@dataclass(frozen=True)
class GuardedServer:
    """A running server: its addresses for `connect`, its models, and the project whose label it bears.

    `token_file` and `certificate` are empty unless the YAML has them.
    """

    rest_url: str
    grpc_url: str
    models: tuple[str, ...]
    project: str
    runtime: str
    token_file: str = ""
    certificate: str = ""

    def connect(self, *, grpc: bool = False) -> Client:
        """A client with numpy arrays in and out; over gRPC it needs the extra `client`."""
        token = Path(self.token_file).read_text().strip() if self.token_file else ""
        return connect(self.grpc_url if grpc else self.rest_url, token=token, ca=self.certificate)


@contextmanager
def guarded_server(place: str, runtime: str) -> Iterator[GuardedServer]:
    """Serve a YAML, or a model without one, until the block ends or this process does; raises GuardedServerError."""
    argv = [sys.executable, "-m", "tfs_workflow.pytest_plugin.guard", place, runtime]
    # In a session of its own: Ctrl-C is for pytest, whose end the guard then sees.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as guard:
        try:
            yield _announced(guard)
        finally:
            _end(guard)


def _end(guard: subprocess.Popen[str]) -> None:
    """Let the guard tear down, which it does when its stdin is closed."""
    try:
        guard.communicate(timeout=_TEARDOWN_S)
    except subprocess.TimeoutExpired:
        guard.kill()
        raise


def _announced(guard: subprocess.Popen[str]) -> GuardedServer:
    assert guard.stdout is not None  # noqa: S101  # a pipe, as asked for
    line = guard.stdout.readline()
    document = json.loads(line) if line else {"error": "the server's process ended without a word"}
    if "error" in document:
        raise GuardedServerError(document["error"])
    return GuardedServer(**document | {"models": tuple(document["models"])})
