"""Rows of the table of diagnoses that take a container: limits, images, users, and how the engine sees an end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.faults import kill, running, servers
from tests.support.reproductions import CONTAINERS, outcome, signalling
from tests.support.waiting import until
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
    assert "not AVAILABLE after" not in error.what, "waiting ends the moment waiting is hopeless"


def test_a_failed_start_and_a_killed_server_are_explained_afterwards(lab: CommandLine) -> None:
    lab.ok("setup")
    lab.config["server"] |= {"flags": NEVER_READY, "ready_timeout_s": 1}
    lab.fails(5, "serve")
    assert explained(lab) == ("not-looking", None)
    lab.config["server"]["flags"] = {"file_system_poll_wait_seconds": "often"}
    assert "a flag has a value of the wrong kind" in lab.fails(5, "serve")
    assert explained(lab) == ("flag-refused", 255)
    lab.config["server"] |= {"flags": {}, "ready_timeout_s": 60}
    lab.ok("serve")
    assert lab.ok_json("doctor", "--after") == {"failed": False}
    kill(servers(lab)[0])
    until(lambda: not running(lab))
    assert explained(lab) == ("killed", 137)
    assert "the server was killed from outside" in lab.run("status").stderr


def test_a_server_that_the_engine_restarted_is_explained_by_its_last_end(lab: CommandLine) -> None:
    lab.config["server"]["restart"] = "on-failure"
    lab.ok("setup", "serve")
    signalling("SEGV")(servers(lab)[0], lab.directory)
    until(lambda: servers(lab)[0].restarts > 0)
    assert explained(lab) == ("crashed", 139)


def explained(lab: CommandLine) -> tuple[str, int | None]:
    """Diagnosis and exit code that `doctor --after` tells."""
    done = lab.run("doctor", "--after", "--json")
    assert done.returncode == 5, done.stderr
    found = json.loads(done.stdout)
    return found["diagnosis"], found["exit_code"]
