"""The runtimes by name, and a project's servers across all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfs_workflow.errors import ToolMissing
from tfs_workflow.runtimes.base import ModelServer, Runtime

EVERY = ("docker", "embedded", "native")


@dataclass(frozen=True)
class Runtimes:
    """Makes a runtime when it is asked for; `config_dir` and `log_path` lie in the workspace."""

    config_dir: Path
    log_path: Path
    _made: dict[str, Runtime] = field(default_factory=dict, init=False, compare=False)

    def get(self, name: str) -> Runtime:
        """The runtime of this name, made once: an engine is asked for its version by each that is made."""
        return self._made.get(name) or self._made.setdefault(name, self._make(name))

    def _make(self, name: str) -> Runtime:
        if name == "docker":
            # docker-py is imported only where an engine is involved: it costs as much as the rest together.
            from tfs_workflow.runtimes.docker import DockerRuntime, Engine  # noqa: PLC0415

            return DockerRuntime(Engine(), self.config_dir)
        from tfs_workflow.runtimes.process_runtime import ProcessRuntime  # noqa: PLC0415  # a second setup needs no psutil

        return ProcessRuntime(name, self.config_dir, self.log_path)

    def find(
        self, project: str | None, names: tuple[str, ...], required: str = ""
    ) -> list[tuple[Runtime, ModelServer]]:
        """The project's servers (None: any project's) under these runtimes; only the `required` one must answer."""
        found: list[tuple[Runtime, ModelServer]] = []
        for name in names:
            runtime = self.get(name)
            try:
                found += [(runtime, server) for server in runtime.find(project)]
            except ToolMissing:
                if name == required:
                    raise
        return found
