"""An engine on another machine: its own processes and mounts, reached over TCP, and none of our directories."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.engine.private import PrivateEngine, private_engine
from tests.support.needs import missing


@pytest.fixture
def elsewhere(image: str, tmp_path: Path) -> Iterator[PrivateEngine]:
    """An engine that sees our directory empty, and listens at an address of this machine that is not loopback."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a second engine; .ci/run is root")
    found = [a.address for card in psutil.net_if_addrs().values() for a in card if a.family == socket.AF_INET]
    address = next((one for one in found if not one.startswith("127.")), "") or missing("a network")
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    with private_engine(image) as engine:
        engine.stop()
        engine.also_listening, engine.hidden = f"tcp://{address}:{port}", tmp_path
        engine.start()
        yield engine


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_models_are_copied_to_an_engine_elsewhere(elsewhere: PrivateEngine, image: str, tmp_path: Path) -> None:
    line = CommandLine.in_directory(tmp_path, runtime="docker", image=image)
    (tmp_path / "base").mkdir()
    shutil.move(models.good(tmp_path, "1") / "1", tmp_path / "released")
    (tmp_path / "base" / "1").symlink_to(tmp_path / "released")
    line.config["models"]["half_plus_two"]["source"] = [{"directory": str(tmp_path / "base")}]
    line.environment["DOCKER_HOST"] = elsewhere.also_listening
    assert "server.expose: true" in line.fails(3, "setup")
    line.config["server"]["expose"] = True
    line.ok("setup")
    with elsewhere.client() as client:
        in_the_way = client.containers.create(image, name=f"tfs-{line.project}")
        assert "exists already" in line.fails(5, "serve")
        assert (client.containers.list(all=True), client.volumes.list()) == ([in_the_way], [])
        in_the_way.remove()
    served = line.ok_json("serve")
    assert served["rest_url"].startswith(elsewhere.also_listening.replace("tcp", "http").rpartition(":")[0])
    assert json.loads(line.ok("predict")) == [2.5, 3.0, 4.5]
    assert line.ok_json("serve")["unchanged"] is True
    with elsewhere.client() as client:
        (container,) = client.containers.list()
        assert [(m["Type"], m["RW"]) for m in container.attrs["Mounts"]] == [("volume", False)]
        (volume,) = client.volumes.list(filters={"label": f"tfs-workflow.project={line.project}"})
        line.config["server"]["metrics"] = True
        line.ok("serve")
        (other,) = client.volumes.list(filters={"label": f"tfs-workflow.project={line.project}"})
        assert other.name != volume.name
        line.ok("teardown", "--purge")
        assert client.containers.list(all=True) == []
        assert client.volumes.list() == []
