"""Servers and models for the tests of the model server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.modelserver.running import Running, serving

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of the bundled model, for tests that change nothing."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def recorded_models() -> Path:
    """The models that the recordings were made with."""
    models = SHARED / "testdata" / "models"
    if not models.is_dir():
        if "CI" in os.environ:
            pytest.fail(f"{models} is missing")
        pytest.skip(f"{models} is missing")
    return models
