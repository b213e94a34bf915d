"""The main job with everything real: a git server, a registry, an engine, and a model run by TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.command import CommandLine
from tests.support.git_server import MODEL_PATH, TAG, GitServer
from tests.support.registry import RegistryServer


@pytest.fixture
def lab(
    tmp_path: Path, engine: docker.DockerClient, image: str, git_server: GitServer, registry_server: RegistryServer
) -> Iterator[CommandLine]:
    """The tutorial's YAML, with the git server and the registry of this test in place of GitHub and Docker Hub."""
    # No faults here: past the Python in front of it, which would take minutes for a gigabyte.
    repository = f"127.0.0.1:{registry_server.registry_port}/tensorflow/serving"
    engine.images.get(image).tag(repository, TAG)
    assert "error" not in engine.images.push(repository, tag=TAG)
    engine.images.remove(f"{repository}:{TAG}")
    line = CommandLine.in_directory(tmp_path, runtime="auto", image=f"{repository}:{TAG}")
    source = {"git": f"{git_server.url}/serving.git", "ref": TAG, "path": MODEL_PATH}
    line.config["models"]["half_plus_two"]["source"] = [source, {"bundled": "half_plus_two"}]
    yield line
    line.run("teardown", "--purge", "--image")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_git_address_to_a_prediction(lab: CommandLine, engine: docker.DockerClient) -> None:
    found = lab.ok_json("setup")
    assert found["runtime"] == "docker"
    assert found["models"]["half_plus_two"]["source"].startswith("git ")
    assert len(found["models"]["half_plus_two"]["commit"]) == 40
    assert "half_plus_two  v123  AVAILABLE" in lab.ok("serve")
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
    lock = json.loads((lab.directory / "tfs.lock").read_text())
    assert lock["image_digest"] == found["image_digest"]
    repository = lab.config["server"]["image"].rpartition(":")[0]
    container = engine.containers.get(lab.ok_json("status")["id"])
    assert container.attrs["Config"]["Image"] == f"{repository}@{lock['image_digest']}"
    assert lock["models"]["half_plus_two"]["commit"] == found["models"]["half_plus_two"]["commit"]
    lab.ok("setup", "--locked")
    lab.ok("teardown", "--purge", "--image")
    assert engine.images.list(name=lab.config["server"]["image"]) == []
