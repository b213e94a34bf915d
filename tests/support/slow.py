"""Marks the slow tests, and names those that have become slow without being listed.

How long a test takes is measured, not guessed from its code, and changes with it. The list is therefore a file that a
run can write (`pytest --write-slow`) and a reviewer can read, and no decorator is kept in step with it by hand.
An entry has no folder, so that a file may move. A shared fixture counts for the test that happens to build it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).parents[1] / "slow.txt"
SLOW_S = 0.5
UNMARKED_S = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-slow", action="store_true", help=f"write {LIST.name}: what took over {SLOW_S} s")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Durations(LIST), "tfs-durations")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    listed = set(read(LIST))
    for item in items:
        if function(item.nodeid) in listed:
            item.add_marker(pytest.mark.slow)


def read(path: Path) -> list[str]:
    """The listed functions, as `file::name`."""
    return path.read_text().splitlines() if path.exists() else []


def function(nodeid: str) -> str:
    """The test as it is listed: without its folder and its parameters."""
    return nodeid.partition("[")[0].rpartition("/")[2]


def existing(names: Iterable[str]) -> list[str]:
    """The listed tests that are still there; a class of tests may inherit one from another file."""
    sources = {path: path.read_text() for path in LIST.parent.rglob("*.py")}
    files = {path.name for path in sources}
    defined = set(re.findall(r"def (test_\w+)\(", "".join(sources.values())))
    return [name for name in names if name.partition("::")[0] in files and name.rpartition("::")[2] in defined]


class Durations:
    """Adds up what each test took, with its fixtures."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = defaultdict(float)
        self.marked: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if {"slow", "docker"} & set(report.keywords):
            self.marked.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Name what took long and is not marked; with xdist this runs in the controller alone."""
        if config.getoption("--write-slow"):
            self.write()
        if self.unmarked():
            terminalreporter.section(f"above {UNMARKED_S:.0f} s and not marked slow")
        for nodeid in self.unmarked():
            terminalreporter.line(f"{self.seconds[nodeid]:.1f} s  {nodeid}")

    def write(self) -> None:
        """Replace the list's functions that ran by those of them that were slow."""
        ran = {function(nodeid) for nodeid in self.seconds}
        slow = {function(nodeid) for nodeid in self.over(SLOW_S) if "tests/docker/" not in nodeid}
        not_run = set(existing(read(self.path))) - ran
        self.path.write_text("".join(f"{name}\n" for name in sorted(not_run | slow)))

    def unmarked(self) -> list[str]:
        """Tests that took long and are neither marked slow nor need Docker."""
        return sorted(set(self.over(UNMARKED_S)) - self.marked)

    def over(self, limit_s: float) -> list[str]:
        return [nodeid for nodeid, seconds in self.seconds.items() if seconds > limit_s]
