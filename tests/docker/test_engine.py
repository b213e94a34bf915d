"""The engine itself: missing, forbidden, or with somebody else's container in the way."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.command import CommandLine
from tests.support.engine.proxy import EngineFault, EngineProxy
from tests.support.needs import missing
from tests.support.registry import random_image

SOCKET = Path("/var/run/docker.sock")
NOBODY = 65534
# Root may use every socket, unless it gives up what lets it pass by permissions.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture
def forbidden() -> Iterator[CommandLine]:
    """A project of a user who may not use the engine's socket, since it belongs to another."""
    if os.getuid() != 0:
        missing("only root can give a socket to another user")
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as engine:
        path = f"{directory}/docker.sock"
        engine.bind(path)
        engine.listen()
        os.chown(path, NOBODY, NOBODY)
        Path(path).chmod(0o600)
        line = CommandLine.in_directory(Path(directory), runtime="docker", image="tfs-workflow/any:1")
        line.environment["DOCKER_HOST"] = f"unix://{path}"
        yield line


def run_forbidden(line: CommandLine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the words without root's way past permissions."""
    environment = os.environ | line.environment
    argv = [*AS_ANYBODY, *line.argv(*words)]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=60, cwd=line.directory, env=environment
    )


def test_an_engine_that_does_not_permit_us_leads_to_its_group(forbidden: CommandLine) -> None:
    done = run_forbidden(forbidden, "setup")
    assert done.returncode == 3, done.stderr
    assert "not permitted" in done.stderr
    assert "usermod -aG docker" in done.stderr
    assert "Traceback" not in done.stderr


def test_auto_goes_on_without_an_engine_that_does_not_permit_us(forbidden: CommandLine) -> None:
    forbidden.config["runtime"] = "auto"
    done = run_forbidden(forbidden, "setup")
    assert done.returncode == 0, done.stderr
    assert "runtime  embedded" in done.stdout
    assert "not permitted" in done.stdout


def test_no_engine_leads_to_starting_one_or_to_the_embedded_server(tmp_path: Path) -> None:
    line = CommandLine.in_directory(tmp_path, runtime="docker")
    line.environment["DOCKER_HOST"] = f"unix://{tmp_path}/no.sock"
    message = line.fails(3, "setup")
    assert "no Docker engine answers" in message
    assert "runtime: embedded" in message
    assert "start Docker" in line.fails(3, "teardown")


def test_auto_goes_on_without_an_engine_and_says_why(tmp_path: Path) -> None:
    line = CommandLine.in_directory(tmp_path, runtime="auto")
    line.environment["DOCKER_HOST"] = "tcp://127.0.0.1:1"
    found = line.ok_json("setup")
    assert found["runtime"] == "embedded"
    assert "no Docker engine answers" in found["reason"]
    assert line.ok_json("serve")["runtime"] == "embedded"
    line.ok("teardown", "--purge")


def test_the_engine_may_be_gone_when_it_is_not_needed_for_teardown(tmp_path: Path) -> None:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    line.environment["DOCKER_HOST"] = f"unix://{tmp_path}/no.sock"
    line.ok("setup", "serve")
    line.ok("teardown", "--purge")


@pytest.fixture
def proxy() -> Iterator[EngineProxy]:
    """A way to the engine on which its answers may be cut off."""
    with tempfile.TemporaryDirectory() as directory, EngineProxy(SOCKET, Path(directory, "engine.sock")) as one:
        yield one


def test_a_log_that_the_engine_cuts_off_is_not_the_end_of_the_server(lab: CommandLine, proxy: EngineProxy) -> None:
    lab.ok("setup", "serve")
    lab.environment["DOCKER_HOST"] = proxy.host
    proxy.fault = EngineFault("GET .*/logs", cut_after_bytes=400)
    assert "lost the Docker engine while following the log" in lab.fails(3, "logs", "--follow")
    lab.environment.clear()
    lab.ok("predict")


def test_an_answer_that_is_cut_off_leaves_no_container(lab: CommandLine, proxy: EngineProxy) -> None:
    lab.ok("setup")
    lab.environment["DOCKER_HOST"] = proxy.host
    proxy.fault = EngineFault("POST .*/containers/create", cut_after_bytes=5, times=1)
    assert "lost the Docker engine while trying to create the container" in lab.fails(3, "serve")
    lab.environment.clear()
    lab.fails(5, "status")


def test_an_engine_that_says_nothing_is_told_from_none(lab: CommandLine, proxy: EngineProxy) -> None:
    lab.environment["DOCKER_HOST"] = proxy.host
    proxy.fault = EngineFault(cut_after_bytes=0, silent=True)
    assert "the Docker engine says nothing" in lab.fails(3, "setup")


def test_a_foreign_container_of_our_name_is_left_alone(lab: CommandLine, engine: docker.DockerClient) -> None:
    lab.ok("setup")
    foreign = engine.containers.create(lab.config["server"]["image"], name=f"tfs-{lab.project}")
    try:
        message = lab.fails(5, "serve")
        assert f"a container named tfs-{lab.project} exists already" in message
        lab.ok("teardown")
        foreign.reload()
    finally:
        foreign.remove()


def test_an_image_that_is_gone_since_setup_leads_to_setup(lab: CommandLine, engine: docker.DockerClient) -> None:
    engine.api.import_image_from_data(random_image(1000), repository=lab.project, tag="gone")
    lab.config["server"]["image"] = f"{lab.project}:gone"
    lab.ok("setup")
    engine.images.remove(f"{lab.project}:gone")
    assert "tfs setup" in lab.fails(3, "serve")


def test_an_image_that_has_lost_its_tag_since_setup_is_served_by_its_id(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    other = f"{lab.project}:lost"
    engine.images.get(lab.config["server"]["image"]).tag(other)
    lab.config["server"]["image"] = other
    lab.ok("setup")
    engine.images.remove(other)
    lab.ok("serve", "predict")


def test_a_container_of_another_project_is_left_alone(lab: CommandLine, engine: docker.DockerClient) -> None:
    bystander = engine.containers.create(
        lab.config["server"]["image"], labels={"tfs-workflow.project": f"{lab.project}-2"}
    )
    try:
        lab.ok("setup", "serve")
        lab.ok("teardown", "--purge")
        bystander.reload()
    finally:
        bystander.remove()
