"""What a running server has used of processor and memory so far, whatever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psutil

from tfs_workflow.errors import WorkflowError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.kinds import runtime_kind

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Usage:
    """Seconds of processor time since the start, and bytes of memory now."""

    cpu_s: float
    memory_bytes: int


def usage_of(server: ModelServer) -> Callable[[], Usage | None]:
    """A look at the server's use of this machine; the look returns None once it has ended."""
    if runtime_kind(server.runtime).is_container:
        from tfs_workflow.runtimes.docker import Engine  # noqa: PLC0415  # docker-py only where an engine is involved

        return partial(_container, Engine(), server.id)
    return partial(_processes, int(server.id))


def _container(engine: object, container_id: str) -> Usage | None:
    from tfs_workflow.runtimes.docker.container_usage import container_usage  # noqa: PLC0415  # as above

    try:
        return Usage(*container_usage(engine, container_id))  # type: ignore[arg-type]
    except WorkflowError:
        return None


def _processes(pid: int) -> Usage | None:
    """The process and its children; memory that they share counts once, where the system tells."""
    try:
        server = psutil.Process(pid)
        family = [server, *server.children(recursive=True)]
        return Usage(sum(sum(one.cpu_times()[:2]) for one in family), sum(_memory_bytes(one) for one in family))
    except psutil.Error:
        return None


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):  # another user's process; a system without this figure
        return int(process.memory_info().rss)
