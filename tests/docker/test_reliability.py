"""The short run of the fault suite: every fault once, and kills at moments that are others each day."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = 12
DOCKER_KILLS = 2


# Each lane is a test of its own, so that they run side by side.
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("lane", "kills"), [("docker", DOCKER_KILLS), ("embedded", KILLS - DOCKER_KILLS)])
def test_every_fault_once_and_some_kills(image: str, lane: str, kills: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a second engine and mount a small disk; .ci/run is root")
    seed = f"{datetime.now(timezone.utc):%Y%m%d}"
    command = [sys.executable, "-m", "benchmarks.faults", f"--kills={KILLS}", f"--docker-kills={DOCKER_KILLS}"]
    command += [f"--lane={lane}", f"--seed={seed}", f"--image={image}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} of them kills, seed {seed}" in done.stdout
