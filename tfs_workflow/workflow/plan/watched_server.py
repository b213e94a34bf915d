"""A server as readiness needs it: whether it ended, and the lines of its log."""

from __future__ import annotations

from dataclasses import dataclass

from tfs_workflow.runtimes.base import ModelServer, Runtime

LOG_LINES = 200


@dataclass
class WatchedServer:
    """A started server as readiness needs it: its exit code and its log, read from the runtime on each call."""

    runtime: Runtime
    server: ModelServer

    def exit_code(self) -> int | None:
        """None while the server runs."""
        self.server = self.runtime.refresh(self.server)
        return self.server.exit_code

    def out_of_memory(self) -> bool:
        """Whether the memory limit ended it."""
        return self.server.out_of_memory

    def lines(self) -> list[str]:
        """The last log lines."""
        return list(self.runtime.logs(self.server, tail=LOG_LINES))


class ReloadedServer(WatchedServer):
    """A server that served before: only log lines that came since can show why a reload fails."""

    def __init__(self, runtime: Runtime, server: ModelServer) -> None:
        super().__init__(runtime, server)
        self._seen = super().lines()[-1:]

    def lines(self) -> list[str]:
        """The last log lines, without those that were there before."""
        lines = super().lines()
        return lines[lines.index(self._seen[0]) + 1 :] if self._seen and self._seen[0] in lines else lines
