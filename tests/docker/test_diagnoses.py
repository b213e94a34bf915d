"""Rows of the table of diagnoses that take a container: limits, images, users, and how the engine sees an end."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.support.reproductions import CONTAINERS, outcome
from tfs_workflow.runtimes.docker import DockerRuntime, Engine

Changed = Callable[[str], str]


@pytest.fixture
def changed(image: str, engine: docker.DockerClient) -> Iterator[Changed]:
    """The image under test after a shell command in it."""
    made: list[str] = []

    def change(command: str) -> str:
        if not command:
            return image
        container = engine.containers.create(image, entrypoint=["/bin/sh", "-c", command], user="0:0")
        try:
            container.start()
            assert container.wait()["StatusCode"] == 0, container.logs().decode()
            made.append(str(container.commit(repository=f"test-{uuid.uuid4().hex[:10]}", tag="test").tags[0]))
        finally:
            container.remove(force=True)
        return made[-1]

    yield change
    for name in made:
        engine.images.remove(name, force=True)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_that_fails_in_this_way_is_diagnosed(name: str, changed: Changed, tmp_path: Path) -> None:
    made = CONTAINERS[name]
    tmp_path.chmod(0o755)
    (tmp_path / "serving").mkdir()
    runtime = DockerRuntime(Engine(), tmp_path / "serving")
    error = outcome(made, lambda _: runtime, tmp_path, runtime="docker", image=changed(made.in_image))
    assert error.diagnosis == name, str(error)
