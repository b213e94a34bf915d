"""The ports: free, ours already, or held by a named process or container.

Three parties may hold a port: this project's own server, which serve replaces; a container, whose name the engine lists
and the kernel does not; and any other process. Only the last two are failures.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

from tfs_workflow.checks.finding import Finding, failure, ok
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.ports import is_free, port_holder

if TYPE_CHECKING:
    from tfs_workflow.runtimes.docker.engine_info import Holder


def port_finding(  # noqa: PLR0913  # each is a fact of its own
    key: str, port: int | str, address: str, ours: Set[int], published: Mapping[int, Holder], *, here: bool = True
) -> Finding:
    """One port of the YAML, under its key.

    `ours` are the ports of this project's server, `published` those of the engine's containers; `here` is False where
    the engine is elsewhere, whose other processes cannot be listed. gRPC shares its
    port with another server that allows it (SO_REUSEPORT): both would get some of the requests. We do not ask to
    share, so such a port counts as taken.
    """
    check = f"ports: server.{key}"
    if isinstance(port, str):
        return ok(check, "auto: any free port")
    container = published.get(port)
    if port in ours:
        return ok(check, f"{port}: this project's own server")
    if container is None and (not here or is_free(port, address)):
        return ok(check, f"{port} is free" if here else f"no container of the engine has {port}")
    holder = f"container {container.name}" if container else port_holder(port) or "another process"
    fix = f"stop it, or set server.{key} to another port or to auto"
    return failure(check, f"port {port} is taken by {holder}", fix, ServerNotReadyError)
