"""Servers and models for the tests of the model server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modelserver.running import Running, serving
from tests.support.needs import shared


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of the bundled model, for tests that change nothing."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def recorded_models() -> Path:
    """The models that the recordings were made with."""
    return shared("testdata", "models")
