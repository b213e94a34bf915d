"""What every runtime can do: find, start, observe and stop the server of one project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tfs_workflow.serving.spec import ServerSpec


@dataclass(frozen=True)
class RunningServer:
    """A server that bears the project's label, running or ended.

    `exit_code` is None while it runs. `image` and `image_digest` are empty where no image is involved.
    """

    runtime: str
    id: str
    project: str
    digest: str
    host: str
    rest_port: int
    grpc_port: int
    started_at: datetime
    exit_code: int | None = None
    out_of_memory: bool = False
    image: str = ""
    image_digest: str = ""

    @property
    def rest_url(self) -> str:
        """The address that REST paths are appended to."""
        return f"http://{self.host}:{self.rest_port}"


class Runtime(Protocol):
    """One way to run a model server."""

    name: str

    def find(self, project: str) -> list[RunningServer]:
        """Every server that bears the project's label, running or ended, newest first."""

    def start(self, spec: ServerSpec) -> RunningServer:
        """Start a server, labelled from birth; nothing is left behind when it raises."""

    def refresh(self, server: RunningServer) -> RunningServer:
        """The same server as it is now; its exit code is set once it ended."""

    def logs(self, server: RunningServer, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The server's log lines, oldest first, without line ends; with `follow`, until it ends."""

    def stop(self, server: RunningServer, timeout_s: int) -> None:
        """Stop and remove it; no error when it is already gone."""
