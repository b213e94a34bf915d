"""Changes without an outage on the embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import CommandLine
from tests.support.reloads import Reloads


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


class TestEmbeddedReloads(Reloads):
    """A local process."""
