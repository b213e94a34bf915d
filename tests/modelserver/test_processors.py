"""How many processors the server counts: the container's quota is among what limits them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfs_workflow.modelserver import processors

ALL = 2**31


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({}, ALL),
        ({"cpu.max": "max 100000\n"}, ALL),
        ({"cpu.max": ""}, ALL),
        ({"cpu/cpu.cfs_quota_us": "-1\n"}, ALL),
    ],
)
def test_a_quota_limits_those_that_are_allowed(tmp_path: Path, files: dict[str, str], wanted: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processors.usable(tmp_path) == min(wanted, len(os.sched_getaffinity(0)))
