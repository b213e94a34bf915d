"""Which loads a bench has, and what it says where its packages are missing."""

from __future__ import annotations

import pytest

from tfs_workflow.config.types import Slo
from tfs_workflow.errors import ToolMissingError
from tfs_workflow.quality.bench.result import Load
from tfs_workflow.workflow.quality import bench
from tfs_workflow.workflow.quality.bench import DEFAULT_CONNECTIONS, OPEN_LOOP_CONNECTIONS, loads_of, require_packages

SLO = Slo(p99_ms=20, rate=300)


def test_without_a_wish_there_are_closed_loops_and_the_rate_of_the_slo() -> None:
    closed = tuple(Load(count) for count in DEFAULT_CONNECTIONS)
    assert loads_of([], [], None) == closed
    assert loads_of([], [], SLO) == (*closed, Load(OPEN_LOOP_CONNECTIONS, 300))


def test_only_what_was_asked_for_is_run() -> None:
    assert loads_of([2], [], SLO) == (Load(2),)
    assert loads_of([], [50, 60], SLO) == (Load(OPEN_LOOP_CONNECTIONS, 50), Load(OPEN_LOOP_CONNECTIONS, 60))


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    require_packages()
    monkeypatch.setattr(bench, "_PACKAGES", ("json", "none_of_this_name"))
    with pytest.raises(ToolMissingError, match=r"none_of_this_name is not installed[^$]*tfs-workflow\[bench\]"):
        require_packages()
