"""bench against a container: the engine's statistics, both transports, its own end, and trials of batching."""

from __future__ import annotations

import json
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.support.command import CommandLine
from tests.support.waiting import until
from tfs_workflow.runtimes.base import PROJECT_LABEL

SHORT = ("--seconds", "1", "--warm-up", "0.2")


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_container_is_measured_with_its_processor_time_and_memory(lab: CommandLine, transport: str) -> None:
    words = ("--connections", "2", "--rate", "20", "--transport", transport, *SHORT)
    shown = lab.ok_json("bench", *words)
    assert shown["runtime"] == "docker"
    for one in shown["points"]:
        assert one["answered"] > 0
        assert (one["errors"], one["partial"]) == ({}, False)
        assert one["server"]["cores"] > 0
        assert one["server"]["memory_bytes"] > 10**7


def test_a_container_that_is_killed_meanwhile_ends_with_5_and_keeps_what_was_measured(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    lab.config["server"]["restart"] = "no"
    lab.ok("setup")
    container = engine.containers.get(lab.ok_json("serve")["id"])
    idle_ns = _processor_ns(container)
    process = lab.start("bench", "--connections", "2", "--seconds", "60", "--warm-up", "0", "--json")
    until(lambda: _processor_ns(container) > idle_ns + 5e8, process)
    container.kill()
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 5, errors
    (point,) = json.loads(printed)["points"]
    assert point["partial"]
    assert "error: " in errors


def test_batching_is_tried_on_containers_that_are_gone_afterwards(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    shown = lab.ok_json("bench", "--advise", "--connections", "4", "--rows", "128", *SHORT)
    assert {one["batching"]["max_batch_size"] for one in shown["candidates"][1:]} == {128}
    assert all(one["answered"] > 0 for one in shown["candidates"])
    label = f"{PROJECT_LABEL}={lab.project}-advise"
    assert engine.containers.list(all=True, filters={"label": label}) == []


def _processor_ns(container: Container) -> int:
    stats: Any = container.stats(stream=False, one_shot=True)
    return int(stats["cpu_stats"]["cpu_usage"]["total_usage"])
