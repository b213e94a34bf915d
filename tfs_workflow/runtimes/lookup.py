"""The runtimes by name, and a project's servers across all of them.

A server may run under a runtime that the YAML no longer names, since the YAML changes while it runs. So `find` looks
under several. An engine that does not answer is an error only where it is required: a project that was never served by
docker should not fail because docker is off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfs_workflow.errors import ToolMissingError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.kinds import runtime_kind


@dataclass(frozen=True)
class Runtimes:
    """Creates each runtime on its first use; `config_dir` and `log_path` are in the workspace."""

    config_dir: Path
    log_path: Path
    _created: dict[str, Runtime] = field(default_factory=dict, init=False, compare=False)

    def get(self, name: str) -> Runtime:
        """The runtime of this name, created once, since each creation queries an engine for its version."""
        return self._created.get(name) or self._created.setdefault(name, self._create(name))

    def _create(self, name: str) -> Runtime:
        if runtime_kind(name).is_container:
            # docker-py is imported only where an engine is involved: it costs as much as the rest together.
            from tfs_workflow.runtimes.docker import DockerRuntime, Engine  # noqa: PLC0415

            return DockerRuntime(Engine(), self.config_dir)
        from tfs_workflow.runtimes.process.process_runtime import ProcessRuntime  # noqa: PLC0415  # a second setup needs no psutil

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
            # An engine that is off holds no running server.
            except ToolMissingError:
                if name == required:
                    raise
        return found
