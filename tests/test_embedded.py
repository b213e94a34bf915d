"""The whole chain without Docker, on the embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.chain import Chain
from tests.support.command import CommandLine
from tests.support.faults import Faults
from tests.support.mistakes import Mistakes
from tfs_workflow.runtimes.process import PROJECT_VARIABLE


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
