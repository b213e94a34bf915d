"""A Python that is too old or too new is refused in one line, before anything that it cannot read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tfs_workflow.cli.python_version import NEWEST, OLDEST, refusal

ROOT = Path(__file__).parents[2]
READ_FIRST = ("__init__.py", "cli/__init__.py", "cli/program.py", "cli/python_version.py")


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_supported(version: tuple[int, int]) -> None:
    assert refusal(version) == ""


@pytest.mark.parametrize("version", [(3, 7), (3, 9), (3, 14), (4, 0)])
def test_refused_in_one_line(version: tuple[int, int]) -> None:
    message = refusal(version)
    assert f"Python {version[0]}.{version[1]} is not supported" in message
    assert "3.10 to 3.13" in message
    assert len(message.splitlines()) == 1


def test_the_bounds_are_those_that_pip_checks() -> None:
    required = re.search(r'requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert required is not None
    bounds = tuple(map(int, required.groups()))
    assert (*OLDEST, NEWEST[0], NEWEST[1] + 1) == bounds


@pytest.mark.parametrize("name", READ_FIRST)
def test_what_is_read_before_the_refusal_suits_an_old_python(name: str) -> None:
    ast.parse((ROOT / "tfs_workflow" / name).read_text(), feature_version=(3, 7))
