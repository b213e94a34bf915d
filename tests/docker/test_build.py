"""invoke image.build: the project's own Dockerfile, built by a real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests.docker.conftest import BASE_IMAGE

TAG = "tfs-workflow/model-server:built-by-a-test"


def build(*options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", "image.build", "--tag", TAG, *options]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)


def test_the_task_builds_and_says_how_a_yaml_names_the_image(engine: docker.DockerClient, image: str) -> None:
    if os.environ.get("TFS_TEST_IMAGE"):
        pytest.skip("the image under test is not ours to build")
    wheels = os.environ.get("TFS_TEST_WHEELS")
    done = build("--base", BASE_IMAGE, *(["--wheels", wheels] if wheels else []))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"server.image: {TAG}\n"
    assert engine.images.get(TAG).id == engine.images.get(image).id  # the same layers, found again
    engine.images.remove(TAG)


def test_a_build_that_fails_shows_the_step_and_its_last_lines(engine: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "nothing-1-py3-none-any.whl").write_bytes(b"")
    done = build("--base", BASE_IMAGE, "--wheels", str(tmp_path))
    assert done.returncode == 3
    assert "the image could not be built" in done.stderr
    assert "No matching distribution" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_without_wheels_is_named(tmp_path: Path) -> None:
    done = build("--wheels", str(tmp_path))
    assert done.returncode == 2
    assert "holds no wheels" in done.stderr
