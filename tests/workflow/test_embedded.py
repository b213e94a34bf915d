"""The whole chain without Docker, on the embedded server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.chain import Chain
from tests.support.command import CommandLine
from tests.support.faults import Faults
from tests.support.mistakes import Mistakes
from tfs_workflow.runtimes.process.marks import PROJECT_VARIABLE


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    """A fresh project on the embedded runtime; afterwards no process may bear its mark."""
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")
    assert [p for p in psutil.process_iter() if _bears(p, line.project)] == []


def _bears(process: psutil.Process, project: str) -> bool:
    try:
        return process.environ().get(PROJECT_VARIABLE) == project
    except (psutil.Error, OSError):
        return False


class TestEmbedded(Chain):
    """Every step of the journey as a local process."""


class TestEmbeddedFaults(Faults):
    """Interrupted, killed and broken as a local process."""


class TestEmbeddedMistakes(Mistakes):
    """Found before a process is started."""


def test_a_native_model_server_is_served_with_and_its_open_ports_are_said_aloud(tmp_path: Path) -> None:
    # No TensorFlow Serving can be had here; our own server stands behind a command of its name and flags.
    command = tmp_path / "tensorflow_model_server"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tfs_workflow.modelserver "$@"\n')
    command.chmod(0o755)
    lab = CommandLine.in_directory(tmp_path, runtime="native")
    lab.config["server"]["native_binary"] = str(command)
    lab.ok("setup")
    done = lab.run("serve")
    assert done.returncode == 0, done.stderr
    assert "a native server listens everywhere" in done.stderr
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
    assert lab.ok_json("status")["runtime"] == "native"
    lab.ok("teardown", "--purge")
