"""The image under test by hand, as people run tensorflow/serving: entry script, environment, ports and flags."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.support.models import BUNDLED
from tests.support.waiting import until
from tfs_workflow.client.interface import State
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.errors import ServerNotReadyError

MOUNT = {str(BUNDLED): {"bind": "/models/half_plus_two", "mode": "ro"}}


@pytest.fixture
def by_hand(engine: docker.DockerClient, image: str) -> Iterator[Any]:
    """Runs the image through its entry script; the container is removed afterwards."""
    started: list[Container] = []

    def run(*flags: str, **environment: str) -> Container:
        ports: Any = {"8501/tcp": ("127.0.0.1", None), "8500/tcp": ("127.0.0.1", None)}
        found = engine.containers.run(
            image, list(flags), detach=True, environment=environment, volumes=MOUNT, ports=ports
        )
        started.append(found)
        return started[-1]

    yield run
    for container in started:
        container.remove(force=True, v=True)


def rest_url(container: Container) -> str:
    (binding,) = container.ports["8501/tcp"] or []
    return f"http://127.0.0.1:{binding['HostPort']}"


def available(container: Container, model: str) -> bool:
    container.reload()
    assert container.status == "running", container.logs().decode()
    with RestJsonClient(rest_url(container)) as client:
        try:
            return [v.state for v in client.status(model)] == [State.AVAILABLE]
        except ServerNotReadyError:
            return False


def test_model_name_and_base_path_come_from_the_environment(by_hand: Any) -> None:
    container = by_hand(MODEL_NAME="half_plus_two")
    until(lambda: available(container, "half_plus_two"))
    with RestJsonClient(rest_url(container)) as client:
        assert client.predict("half_plus_two", [1.0, 2.0, 5.0]) == [2.5, 3.0, 4.5]


def test_flags_are_added_to_the_entry_scripts_own(by_hand: Any) -> None:
    container = by_hand("--model_name=other", MODEL_NAME="half_plus_two")
    until(lambda: available(container, "other"))


def test_the_image_declares_what_tensorflow_servings_declares(engine: docker.DockerClient, image: str) -> None:
    config = engine.images.get(image).attrs["Config"]
    assert {"8500/tcp", "8501/tcp"} <= config["ExposedPorts"].keys()
    assert {"MODEL_NAME=model", "MODEL_BASE_PATH=/models"} <= set(config["Env"])
    assert config["Entrypoint"] == ["/usr/bin/tf_serving_entrypoint.sh"]


def test_our_own_image_is_not_root_knows_its_health_and_stops_at_once(by_hand: Any) -> None:
    if os.environ.get("TFS_TEST_IMAGE"):
        pytest.skip("tensorflow/serving has no user, no health check, and ignores SIGTERM")
    container = by_hand(MODEL_NAME="half_plus_two")
    until(lambda: available(container, "half_plus_two"))
    assert container.exec_run(["/usr/bin/healthcheck"])[0] == 0
    assert container.exec_run(["id", "-u"])[1] == b"65534\n"
    container.stop(timeout=30)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


def test_only_two_of_tensorflows_libraries_are_in_our_image(by_hand: Any) -> None:
    if os.environ.get("TFS_TEST_IMAGE"):
        pytest.skip("tensorflow/serving is one static binary")
    container = by_hand(MODEL_NAME="half_plus_two")
    listed = str(container.exec_run(["find", "/opt/tfs-workflow/tensorflow", "-type", "f"])[1])
    assert "libtensorflow_cc.so.2" in listed
    assert "libtensorflow_framework.so.2" in listed
    assert listed.count("/opt/tfs-workflow/tensorflow") == 2
