"""`invoke --list` against the same with an empty tasks file, and a second `setup` against that."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.lab import PACKAGE, alternating, environment, lab, report, tfs

ROUNDS = 15


def _list(directory: Path) -> None:
    argv = [str(Path(sys.executable).with_name("invoke")), "--list"]
    # With an empty tasks file invoke lists nothing and exits 1; that is what is to be measured.
    subprocess.run(argv, cwd=directory, check=False, capture_output=True, env=environment())


def main() -> int:
    """Print both ratios; exit 1 when one is missed."""
    with tempfile.TemporaryDirectory() as empty, lab("embedded") as config:
        Path(empty, "tasks.py").touch()
        tfs("setup", config)
        invoke = str(Path(sys.executable).with_name("invoke"))
        setup = [invoke, "setup", "--config", str(config)]
        median = alternating(
            ROUNDS,
            empty=lambda: _list(Path(empty)),
            ours=lambda: _list(PACKAGE.parent),
            setup=lambda: subprocess.run(setup, cwd=PACKAGE.parent, check=True, capture_output=True, env=environment()),
        )
    good = report("invoke --list / with an empty tasks file", median["ours"], median["empty"], 2)
    return 0 if report("second setup / invoke --list", median["setup"], median["ours"], 2) and good else 1


if __name__ == "__main__":
    sys.exit(main())
