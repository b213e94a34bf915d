"""A real engine, the image under test, and the command line as users call it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.command import CommandLine
from tests.support.needs import missing
from tests.support.waiting import alone
from tfs_workflow.runtimes.docker import Engine
from tfs_workflow.runtimes.docker.image_build import build_image

BUILT_IMAGE = "tfs-workflow/model-server:test"
BASE_IMAGE = "tfs-workflow/python-base:bookworm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        missing(f"no Docker engine answers: {error}")
    return client


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> str:
    """The image under test: TFS_TEST_IMAGE, pulled, or the project's own, built from its Dockerfile."""
    if reference := os.environ.get("TFS_TEST_IMAGE"):
        with alone("image"):
            engine.images.pull(reference)
        return reference
    wheels = os.environ.get("TFS_TEST_WHEELS")
    try:
        engine.images.get(BASE_IMAGE)
    except docker.errors.ImageNotFound:
        missing(f"no {BASE_IMAGE}: run .ci/test-image, or set TFS_TEST_IMAGE=tensorflow/serving:2.20.0")
    with alone("image"):
        build_image(Engine(), BUILT_IMAGE, BASE_IMAGE, Path(wheels) if wheels else None, report=lambda line: None)
    return BUILT_IMAGE


@pytest.fixture
def lab(tmp_path: Path, image: str, engine: docker.DockerClient) -> Iterator[CommandLine]:
    """A fresh project on the docker runtime; afterwards nothing that bears its label may be left."""
    line = CommandLine.in_directory(tmp_path, runtime="docker", image=image)
    yield line
    line.run("teardown", "--purge")
    assert engine.containers.list(all=True, filters={"label": f"tfs-workflow.project={line.project}"}) == []
