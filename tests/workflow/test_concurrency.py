"""Pairs of verbs at the same time on the embedded runtime; tests/docker has the other forty of the two hundred."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import CommandLine
from tests.support.concurrency import Concurrency
from tests.support.faults import servers


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")
    assert servers(line) == []


@pytest.fixture(params=range(16))
def chunk(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.slow
class TestEmbedded(Concurrency):
    """A hundred and sixty pairs with a process as the server."""
