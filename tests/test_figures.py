"""The figures are right on a checkout whose figures are known, and its walks come from real runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.figures.counts import counts
from tools.figures.walks import walks

ROOT = Path(__file__).parents[1]
FIRST = '''"""One sentence."""

import os  # a comment
from sys import argv


def shared(long_name: int) -> int:
    """A docstring
    of two lines."""
    if argv:
        for _ in range(long_name):
            with open(os.devnull):
                pass
    elif long_name:
        pass

    return long_name


class Twice: ...
'''
SECOND = """# only a comment
def shared(): ...
def own(): ...
class Twice: ...
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The figures of two modules and a test."""
    root = tmp_path_factory.mktemp("checkout")
    for name, text in (
        ("tfs_workflow/first.py", FIRST),
        ("tfs_workflow/room/first.py", SECOND),
        ("tfs_workflow/protos/x_pb2.py", "generated = 1\n"),
        ("tests/test_it.py", "def test_it(monkeypatch):\n    monkeypatch.setattr(a, b)\n"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return counts(root)


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("modules", "2"),
        ("code lines", "14"),
        ("lines a module (median/p90/max)", "12/20/20"),
        ("lines a function (median/p90/max)", "1/9/9"),
        ("nesting (median/p90/max)", "0/3/3"),
        ("comment lines per 100", "14.3"),
        ("docstring lines per 100", "21.4"),
        ("length of an identifier", "4.8"),
        ("functions named twice", "67 %"),
        ("class names given twice", "1 (Twice)"),
        ("file names given twice", "1 (first.py)"),
        ("files in a folder, at most", "1"),
        ("files in the root", "1"),
        ("folders", "2"),
        ("imports a module (median/p90/max)", "1/2/2"),
        ("test/code", "0.14"),
        ("mocks per 1000 test lines", "500.0"),
    ],
)
def test_the_figures_of_a_small_checkout(small: dict[str, str], figure: str, value: str) -> None:
    assert small[figure] == value


@pytest.mark.slow
def test_the_walks_come_from_a_real_prediction_and_a_real_serve() -> None:
    found = walks(ROOT)
    assert set(found) == {"one small prediction", "one prediction by `inputs`", "one `serve`, embedded"}
    for text in found.values():
        files, entries, returns = map(int, re.findall(r"(\d+) ", text))
        assert files > 5
        assert returns == entries - files
