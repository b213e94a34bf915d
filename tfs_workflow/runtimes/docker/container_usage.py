"""What a container has used so far, by its engine's statistics."""

from __future__ import annotations

from typing import Any

from tfs_workflow.runtimes.docker.engine import Engine, engine_errors


def container_usage(engine: Engine, container_id: str) -> tuple[float, int]:
    """Seconds of processor time since its start, and bytes of memory without what the kernel can drop; zeros once it
    has ended.
    """
    with engine_errors("report statistics"):
        # docker-py's types also know the stream of them.
        stats: Any = engine.client.containers.get(container_id).stats(stream=False, one_shot=True)
    cpu_ns = stats["cpu_stats"]["cpu_usage"].get("total_usage", 0)
    memory = stats.get("memory_stats", {})
    details = memory.get("stats", {})
    # As `docker stats` does, by the name in either version of cgroups.
    cache_bytes = details.get("total_inactive_file", details.get("inactive_file", 0))
    return cpu_ns / 1e9, max(0, memory.get("usage", 0) - cache_bytes)
