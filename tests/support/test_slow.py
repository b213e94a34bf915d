"""The list of slow tests names tests that exist, and what it names is marked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import slow

ROOT = Path(__file__).parents[2]


def test_every_listed_test_exists() -> None:
    listed = slow.read(slow.LIST)
    assert slow.existing(listed) == listed, "renew the list: pytest --write-slow"


@pytest.mark.slow
def test_a_listed_test_is_deselected_with_not_slow() -> None:
    listed = next(name for name in slow.read(slow.LIST) if name.startswith("test_interrupts.py::"))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not slow", "tests/cli/test_interrupts.py"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert "::test_" in collected
    assert f"{listed.rpartition('::')[2]}" not in collected


def report(nodeid: str, duration: float, *keywords: str) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), dict.fromkeys(keywords, 1), "passed", None, "call", [], duration)


def test_the_list_is_renewed_for_what_ran(tmp_path: Path) -> None:
    path = tmp_path / "slow.txt"
    listed = next(iter(slow.read(slow.LIST)))
    path.write_text(f"{listed}\ntest_it.py::test_fast\ntest_it.py::test_gone\n")
    durations = slow.Durations(path)
    for nodeid, seconds in (("tests/a/test_it.py::test_fast", 0.1), ("tests/a/test_it.py::test_new[1]", 0.7)):
        durations.pytest_runtest_logreport(report(nodeid, seconds))
    durations.write()
    assert path.read_text().splitlines() == sorted([listed, "test_it.py::test_new"])


def test_a_test_above_two_seconds_is_named_unless_it_is_marked(tmp_path: Path) -> None:
    durations = slow.Durations(tmp_path / "slow.txt")
    durations.pytest_runtest_logreport(report("test_it.py::test_unmarked", 2.5))
    durations.pytest_runtest_logreport(report("test_it.py::test_marked", 2.5, "slow"))
    assert durations.unmarked() == ["test_it.py::test_unmarked"]
