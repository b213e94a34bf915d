"""`tfs serve PATH` where an engine answers that does not have the image: no download delays the first answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests.support.models import BUNDLED

# Nothing listens there: a pull would be tried four times and fail.
MISSING_IMAGE = "127.0.0.1:1/missing:1"


@pytest.mark.usefixtures("engine")
def test_a_path_is_served_by_the_embedded_server_without_a_pull(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / "00000123", tmp_path / "m")
    shown = run(tmp_path, "serve", "m")
    try:
        assert "AVAILABLE" in shown.stdout
        assert "trying again" not in shown.stderr
        chosen = json.loads(run(tmp_path, "setup", "--json").stdout)
        assert chosen["runtime"] == "embedded"
        assert chosen["reason"] == f"{MISSING_IMAGE}: the image is not on the engine"
    finally:
        run(tmp_path, "teardown", "--purge")


def test_an_engine_with_the_image_serves_a_path(tmp_path: Path, engine: docker.DockerClient, image: str) -> None:
    shutil.copytree(BUNDLED / "00000123", tmp_path / "m")
    tmp_path.chmod(0o755)
    try:
        assert "AVAILABLE" in run(tmp_path, "serve", "m", image=image).stdout
        assert json.loads(run(tmp_path, "status", "--json", image=image).stdout)["runtime"] == "docker"
    finally:
        run(tmp_path, "teardown", "--purge", image=image)
    assert not engine.containers.list(all=True, filters={"volume": str(tmp_path / "m")})


def run(directory: Path, *words: str, image: str = MISSING_IMAGE) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TFS_")}
    environment |= {"XDG_CACHE_HOME": str(directory / "cache"), "TFS_SERVER__IMAGE": image}
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", *words]
    done = subprocess.run(
        argv, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done
