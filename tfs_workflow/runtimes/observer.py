"""A started server as readiness looks at it: does it live, and what did it log?"""

from __future__ import annotations

from dataclasses import dataclass

from tfs_workflow.runtimes.base import ModelServer, Runtime

LOG_LINES = 200


@dataclass
class Observer:
    """Asks the runtime only when it is asked."""

    runtime: Runtime
    server: ModelServer

    def exit_code(self) -> int | None:
        """None while the server runs."""
        self.server = self.runtime.refresh(self.server)
        return self.server.exit_code

    def out_of_memory(self) -> bool:
        """Whether the engine says that the memory limit ended it."""
        return self.server.out_of_memory

    def lines(self) -> list[str]:
        """The last log lines."""
        return list(self.runtime.logs(self.server, tail=LOG_LINES))
