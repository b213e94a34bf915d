"""The embedded server against the recorded answers of TensorFlow Serving 2.20.0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import shared


@pytest.mark.parametrize("fronts", [0, 1, 2])
def test_every_recorded_exchange_agrees(tmp_path: Path, fronts: int) -> None:
    replay = shared("conformance", "replay.py")
    server = f"{sys.executable} -m tfs_workflow.modelserver --fronts={fronts}"
    command = [sys.executable, str(replay), "--server", server, "--log-dir", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "225 of 225" in ran.stdout
