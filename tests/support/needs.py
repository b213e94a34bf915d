"""What a test needs and does not find: a skip with the reason for a contributor, a failure in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip, or fail where CI is set: a test that nobody sees skipped is a defect."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def shared(*parts: str) -> Path:
    """A path in ../shared, which holds what was recorded from TensorFlow Serving; it does not travel with this project.

    A hosted runner has none and says so once, with TFS_TEST_WITHOUT_SHARED.
    """
    path = Path(__file__).parents[3].joinpath("shared", *parts)
    if not path.exists():
        if os.environ.get("TFS_TEST_WITHOUT_SHARED"):
            pytest.skip(f"{path} is not here, as TFS_TEST_WITHOUT_SHARED says")
        missing(f"{path} is not here")
    return path
