"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable(cgroup: Path = _CGROUP) -> int:
    """Those of the machine, without the ones that taskset or the container's quota takes away; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(allowed, math.ceil(_quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Processors that the cgroup may keep busy (cgroups(7): cpu.max, and the two files of version 1)."""
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with suppress(OSError, ValueError):
        quota_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        if quota_us > 0:
            return quota_us / int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
    return 2**31
