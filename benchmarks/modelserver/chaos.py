"""Ends engine and fronts of the embedded server again and again under load; a short run is among the tests.

python -m benchmarks.modelserver.chaos [--ends 200] [--seed 1]

By SIGKILL, SIGSEGV, SIGSTOP, and for want of memory where a control group can be made. Every client of REST and gRPC
must get its answer or the documented error, nothing may hang, and nothing may be left. Exit code 1 otherwise. 200 ends
take half an hour, most of it the growing distances between restarts.
"""

from __future__ import annotations

import argparse
import sys

from tests.support.modelserver.chaos import chaos


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ends", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the random generator")
    options = parser.parse_args()
    report = chaos(options.ends, options.seed)
    for title, counts in (("ends", report.ends), ("answers", report.seen)):
        print(f"{sum(counts.values())} {title}")
        for what, count in counts.most_common():
            print(f"{count:8}  {what}")
    print(f"slowest answer {report.slowest_s:.1f} s")
    for fault in (faults := report.faults()):
        print(f"fault: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
