"""What says how good the answers are, against a server in a container."""

from __future__ import annotations

import json
import re
from pathlib import Path

import docker

from tests.support.team import Team
from tests.support.verifications import Verifications
from tests.support.waiting import until
from tests.support.warmups import Warmups


class TestDockerVerifications(Verifications):
    """A container that mounts the models."""


class TestDockerWarmups(Warmups):
    """A container that mounts the workspace's models."""


def test_a_container_of_the_pytest_plugin_is_gone_after_a_crash(
    tmp_path: Path, image: str, engine: docker.DockerClient
) -> None:
    models = {"model": {"source": {"bundled": "half_plus_two"}}}
    team = Team(tmp_path)
    team.write("tfs.yaml", json.dumps({"server": {"image": image}, "models": models}))
    team.write("pytest.ini", "[pytest]\ntfs_runtime = docker\n")
    team.write(
        "test_model.py",
        "import os, pathlib, signal\n"
        "def test_it(tfs_server, tfs_client):\n"
        "    assert list(tfs_client.predict('model', [1.0])['y']) == [2.5]\n"
        "    pathlib.Path('project').write_text(tfs_server.project)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    done = team.run()
    assert done.returncode < 0, done.stdout + done.stderr
    project = (tmp_path / "project").read_text()
    assert re.fullmatch(r"pytest-\d+-\w{8}", project)
    label = f"tfs-workflow.project={project}"
    until(lambda: engine.containers.list(all=True, filters={"label": label}) == [])
