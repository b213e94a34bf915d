"""Ctrl-C and SIGTERM while an engine is at work for us: nothing of ours is left on it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.docker.conftest import BASE_IMAGE
from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.faults import servers
from tests.support.waiting import until

HANGS_S = 30
ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture
def endless(engine: docker.DockerClient, image: str, tmp_path: Path) -> Iterator[str]:
    """A base image whose first step takes longer than anybody waits."""
    reference = f"tfs-workflow/endless:{tmp_path.name.lower().replace('[', '').replace(']', '')}"
    container = engine.containers.create(BASE_IMAGE, ["true"])
    container.commit(*reference.split(":"), changes=["ONBUILD RUN echo reached && sleep 600"])
    container.remove()
    yield reference
    engine.images.remove(reference, force=True)


def building(engine: docker.DockerClient) -> list[str]:
    """The containers in which the endless step runs."""
    running = engine.containers.list(all=True, ignore_removed=True)
    return [str(one.id) for one in running if "echo reached" in str(one.attrs["Config"]["Cmd"])]


@pytest.mark.parametrize(("number", "exit_code"), ENDINGS, ids=["SIGINT", "SIGTERM"])
def test_a_build_that_is_interrupted_leaves_no_container(
    engine: docker.DockerClient, endless: str, tmp_path: Path, number: int, exit_code: int
) -> None:
    tag = f"{endless}-built"
    argv = [
        sys.executable,
        "-m",
        "tfs_workflow.cli.program",
        "image.build",
        "--base",
        endless,
        "--tag",
        tag,
        "--verbose",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while "reached" not in (line := process.stderr.readline()) or "echo" in line:
        assert process.poll() is None
    process.send_signal(number)
    _, message = process.communicate(timeout=HANGS_S)
    assert process.returncode == exit_code
    assert "Traceback" not in message
    until(lambda: building(engine) == [])
    assert not engine.images.list(tag)


@pytest.mark.parametrize("numbers", [(2, 2, 2), (15, 15), (2, 15, 2, 15)], ids=str)
def test_signals_again_and_again_do_not_keep_the_old_server_from_coming_back(
    lab: CommandLine, numbers: tuple[int, ...]
) -> None:
    lab.ok("setup", "serve")
    (before,) = servers(lab)
    lab.config["server"]["flags"] = NEVER_READY
    process = lab.start("serve")
    until(lambda: any(s.digest != before.digest and s.exit_code is None for s in servers(lab)), process)
    for number in numbers:
        process.send_signal(number)
    _, message = process.communicate(timeout=HANGS_S)
    assert process.returncode in (130, 143)
    assert "Traceback" not in message
    assert [server.id for server in servers(lab)] == [before.id]
    until(lambda: lab.run("predict").returncode == 0)
    del lab.config["server"]["flags"]
    assert lab.ok_json("status")["drift"] == []
    assert lab.ok_json("serve")["unchanged"] is True
