"""doctor in front of a real engine: here, on another machine, forbidden, and with the image on it or not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker
import psutil
import pytest

from tests.docker.test_engine import forbidden, run_forbidden
from tests.support.chain import port_of
from tests.support.command import CommandLine
from tests.support.needs import missing

__all__ = ["forbidden"]

SOCKET = "/var/run/docker.sock"


def findings(lab: CommandLine, exit_code: int = 0) -> dict[str, dict[str, str]]:
    done = lab.run("doctor", "--json")
    assert done.returncode == exit_code, done.stdout + done.stderr
    return {f["check"]: f for f in json.loads(done.stdout)["findings"]}


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The engine at an address of this machine that is not loopback: for docker's clients another machine."""
    found = [a.address for card in psutil.net_if_addrs().values() for a in card if a.family == socket.AF_INET]
    address = next((one for one in found if not one.startswith("127.")), "") or missing("a network")
    with socket.create_server((address, 0)) as listener, relayed(listener):
        yield f"tcp://{address}:{listener.getsockname()[1]}"


@contextmanager
def relayed(listener: socket.socket) -> Iterator[None]:
    """Whoever connects to the listener talks to the engine's socket."""
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(SOCKET)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError), source, target:
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)


def test_a_good_engine_before_setup_and_while_serving(lab: CommandLine, engine: docker.DockerClient) -> None:
    found = findings(lab)
    assert {f["status"] for f in found.values()} == {"ok"}
    assert engine.version()["Version"] in found["engine"]["evidence"]
    assert "unix://" in found["engine"]["evidence"]
    assert "is here already" in found["engine: disk space"]["evidence"]
    lab.ok("setup")
    lab.ok("serve")
    lab.config["server"]["rest_port"] = port_of(lab.ok_json("status")["rest_url"])
    assert "this project's own server" in findings(lab)["ports: server.rest_port"]["evidence"]


def test_a_container_on_our_port_is_named(lab: CommandLine, engine: docker.DockerClient) -> None:
    (lab.directory / "other").mkdir()
    other = CommandLine.in_directory(lab.directory / "other", "docker", lab.config["server"]["image"])
    try:
        other.ok("setup", "serve")
        lab.config["server"]["rest_port"] = port_of(other.ok_json("status")["rest_url"])
        found = findings(lab, 5)["ports: server.rest_port"]
        assert f"is taken by container tfs-{other.project}" in found["evidence"]
    finally:
        other.run("teardown", "--purge")


def test_an_engine_on_another_machine_cannot_have_our_files(lab: CommandLine, elsewhere: str) -> None:
    lab.environment["DOCKER_HOST"] = elsewhere
    found = findings(lab, 3)
    assert found["engine"]["status"] == "ok"
    assert f"{elsewhere} (DOCKER_HOST" in found["engine"]["evidence"]
    assert found["engine: location"]["status"] == "failure"
    assert "runtime: embedded" in found["engine: location"]["fix"]


def test_setup_takes_no_engine_on_another_machine(lab: CommandLine, elsewhere: str) -> None:
    lab.environment["DOCKER_HOST"] = elsewhere
    assert "is another machine" in lab.fails(3, "setup")
    lab.config["runtime"] = "auto"
    setup: dict[str, Any] = lab.ok_json("setup")
    assert setup["runtime"] == "embedded"
    assert "is another machine" in setup["reason"]


def test_an_engine_that_does_not_permit_us(forbidden: CommandLine) -> None:
    done = run_forbidden(forbidden, "doctor")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "not permitted" in done.stdout
    assert "usermod -aG docker" in done.stdout


def test_a_gpu_image_on_this_engine_without_gpus(lab: CommandLine, engine: docker.DockerClient) -> None:
    if "nvidia" in engine.info()["Runtimes"]:
        pytest.skip("this engine has a GPU runtime")
    lab.config["server"]["image"] = "tensorflow/serving:2.20.0-gpu"
    found = findings(lab, 3)["engine: GPU"]
    assert "no nvidia runtime" in found["evidence"]


def test_a_gpu_image_is_refused_before_it_is_pulled(lab: CommandLine, engine: docker.DockerClient) -> None:
    if "nvidia" in engine.info()["Runtimes"]:
        pytest.skip("this engine has a GPU runtime")
    lab.config["server"]["image"] = "127.0.0.1:1/tensorflow/serving:2.20.0-gpu"
    assert "no nvidia runtime" in lab.fails(3, "setup")
