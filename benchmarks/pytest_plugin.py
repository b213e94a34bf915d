"""`pytest --collect-only` in an environment with the plugin, and with the plugin left out.

Seconds of a processor, not of the clock: the difference is far below what another process on the machine adds.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.lab import environment, report

ROUNDS = 31
SIDES = {"plugin": (), "without": ("-p", "no:tfs")}


def _spent_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _collect(directory: str, *options: str) -> float:
    """The processor's seconds of one collection."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    before_s = _spent_s()
    subprocess.run(argv, cwd=directory, check=True, capture_output=True, env=environment())
    return _spent_s() - before_s


def main() -> int:
    """Print the ratio; exit 1 when it is missed."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "pytest.ini").write_text("[pytest]\n")
        Path(directory, "test_nothing.py").write_text("def test_nothing(): pass\n")
        _collect(directory)
        taken: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(ROUNDS):
            for side, options in SIDES.items():
                taken[side].append(_collect(directory, *options))
    plugin, without = (statistics.median(taken[side]) for side in SIDES)
    return 0 if report("pytest --collect-only, with / without the plugin", plugin, without, 1.05) else 1


if __name__ == "__main__":
    sys.exit(main())
