"""Pairs of verbs at the same time on a real Docker engine."""

from __future__ import annotations

import pytest

from tests.support.concurrency import VERBS, Concurrency


@pytest.fixture(params=range(4))
def chunk(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.slow
class TestDocker(Concurrency):
    """Forty pairs with a container as the server; its image was built here, so that no registry can be asked for it."""

    verbs = tuple(words for words in VERBS if "--update" not in words)
