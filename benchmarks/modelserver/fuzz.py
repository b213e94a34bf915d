"""Throws bytes at the embedded server for long; a short run is among the tests.

python -m benchmarks.modelserver.fuzz [--inputs 200000] [--seed 1]

After every thousand inputs the server must still give right answers; at the end its memory and its open files are
shown beside those of the beginning. Exit code 1 when it ended, answered wrongly, or grew by more than a tenth.
"""

from __future__ import annotations

import argparse
import sys

from tests.support.modelserver.fuzz import fuzz


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="how many, at least 1000")
    parser.add_argument("--seed", type=int, default=1, help="of the random generator")
    options = parser.parse_args()
    return 0 if fuzz(options.inputs, options.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
