"""Pulling the image: from a real registry, with its faults, pinned, offline and interrupted."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.support.command import CommandLine
from tests.support.registry import RegistryServer, random_image

LAYER_BYTES = 300_000


def push(engine: docker.DockerClient, registry: RegistryServer, tag: str = "1") -> str:
    """Push a small image of random bytes and forget it here; its reference."""
    repository = f"{registry.address}/tiny"
    engine.api.import_image_from_data(random_image(LAYER_BYTES), repository=repository, tag=tag)
    assert "error" not in engine.images.push(repository, tag=tag)
    engine.images.remove(f"{repository}:{tag}")
    return f"{repository}:{tag}"


def layer(registry: RegistryServer) -> str:
    """The request for the image's one layer, which is large enough to be broken in the middle."""
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = requests.get(f"{registry.url}/v2/tiny/manifests/1", headers={"Accept": accept}, timeout=10).json()
    registry.requests.clear()
    return f"GET .*blobs/{manifest['layers'][0]['digest']}"


@pytest.fixture
def tiny(tmp_path: Path, engine: docker.DockerClient, registry_server: RegistryServer) -> Iterator[CommandLine]:
    """A project whose image lies in a registry that this test may break."""
    reference = push(engine, registry_server)
    line = CommandLine.in_directory(tmp_path, runtime="docker", image=reference)
    registry_server.requests.clear()
    yield line
    line.run("teardown", "--image", "--purge")
    assert engine.images.list(name=reference.rpartition(":")[0]) == []


def lock_of(lab: CommandLine) -> dict[str, str]:
    content: dict[str, str] = json.loads((lab.directory / "tfs.lock").read_text())
    return content


def test_setup_pulls_and_pins_the_digest(tiny: CommandLine, engine: docker.DockerClient) -> None:
    tiny.ok("setup")
    digests = engine.images.get(tiny.config["server"]["image"]).attrs["RepoDigests"]
    assert lock_of(tiny)["image_digest"] in digests[0]
    assert lock_of(tiny)["image"] == tiny.config["server"]["image"]


@pytest.mark.parametrize("options", [(), ("--locked",), ("--offline",)])
def test_a_second_setup_does_not_ask_the_registry(
    tiny: CommandLine, registry_server: RegistryServer, options: tuple[str, ...]
) -> None:
    tiny.ok("setup")
    registry_server.requests.clear()
    tiny.ok("setup", *options)
    assert registry_server.requests == []


def test_offline_without_the_image_says_so(tiny: CommandLine, registry_server: RegistryServer) -> None:
    assert "without --offline" in tiny.fails(7, "setup", "--offline")
    assert registry_server.requests == []


def test_a_tag_that_moved_is_refused_when_locked(
    tiny: CommandLine, engine: docker.DockerClient, registry_server: RegistryServer
) -> None:
    tiny.ok("setup")
    locked = lock_of(tiny)["image_digest"]
    engine.images.remove(tiny.config["server"]["image"])
    push(engine, registry_server)
    message = tiny.fails(7, "setup", "--locked")
    assert "image digest" in message
    assert locked in message
    assert lock_of(tiny)["image_digest"] == locked


def test_an_image_that_is_not_there_is_named(tiny: CommandLine) -> None:
    tiny.config["server"]["image"] += "-nope"
    message = tiny.fails(7, "setup")
    assert "no such image" in message
    assert tiny.config["server"]["image"] in message


def test_a_registry_that_wants_a_login_leads_to_docker_login(
    tiny: CommandLine, registry_server: RegistryServer
) -> None:
    registry_server.fail(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
    assert "docker login" in tiny.fails(7, "setup")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_of_the_registry_is_retried(
    tiny: CommandLine, registry_server: RegistryServer, status: int
) -> None:
    fault = registry_server.fail(path="manifests", status=status, times=1)
    tiny.ok("setup")
    assert fault.met == 1


@pytest.mark.parametrize(("status", "words"), [(429, "(?i)429|too ?many ?requests"), (500, "500")])
def test_a_lasting_fault_of_the_registry_ends_with_its_words(
    tiny: CommandLine, registry_server: RegistryServer, status: int, words: str
) -> None:
    fault = registry_server.fail(path="manifests", status=status)
    message = tiny.fails(7, "setup")
    assert re.search(words, message)
    assert fault.met > 1


def test_a_connection_dropped_in_the_middle_of_a_layer_is_resumed(
    tiny: CommandLine, registry_server: RegistryServer
) -> None:
    fault = registry_server.fail(path=layer(registry_server), cut_after_bytes=LAYER_BYTES // 2, times=1)
    tiny.ok("setup")
    assert fault.met == 1


def test_a_registry_that_is_not_there_is_named(tiny: CommandLine) -> None:
    tiny.config["server"]["image"] = "127.0.0.1:1/tiny:1"
    assert "127.0.0.1:1/tiny:1" in tiny.fails(7, "setup")


def test_auto_falls_back_to_the_embedded_server_and_says_why(
    tiny: CommandLine, registry_server: RegistryServer
) -> None:
    registry_server.fail(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
    tiny.config["runtime"] = "auto"
    found = tiny.ok_json("setup")
    assert found["runtime"] == "embedded"
    assert "refuses the image" in found["reason"]
    assert tiny.ok_json("serve")["runtime"] == "embedded"
    registry_server.requests.clear()
    assert tiny.ok_json("setup") == {**found, "models": tiny.ok_json("setup")["models"]}
    assert registry_server.requests == []
    tiny.ok("setup", "--update")
    assert registry_server.requests != []


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_setup_can_be_ended_in_the_middle_of_a_pull_and_repeated(
    tiny: CommandLine, registry_server: RegistryServer, number: int, exit_code: int
) -> None:
    registry_server.fail(path=layer(registry_server), silent_after_bytes=LAYER_BYTES // 2, times=1)
    process = tiny.start("setup")
    assert registry_server.reached.wait(60)
    process.send_signal(number)
    _, message = process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert "Traceback" not in message
    tiny.ok("setup")
