"""The embedded server against the recorded answers of TensorFlow Serving 2.20.0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.needs import missing

REPLAY = Path(__file__).parents[3] / "shared" / "conformance" / "replay.py"


def test_every_recorded_exchange_agrees(tmp_path: Path) -> None:
    if not REPLAY.is_file():
        missing(f"{REPLAY} is not there")
    server = f"{sys.executable} -m tfs_workflow.modelserver"
    command = [sys.executable, str(REPLAY), "--server", server, "--log-dir", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "225 of 225" in ran.stdout
