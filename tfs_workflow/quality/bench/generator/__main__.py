"""A load generator as a process: `python -m tfs_workflow.quality.bench.generator`.

It reads its orders from the first line of stdin, ends early when stdin is closed, and prints a JSON line for each
report and one for its ending.
"""

from __future__ import annotations

import gc
import os
import sys

from tfs_workflow.quality.bench.generator.load_loop import LoadLoop
from tfs_workflow.quality.bench.generator.orders import Ending, Orders, Report


def main() -> int:
    """Follow the orders."""
    orders = Orders.read(_first_line())
    # Nothing that a request leaves behind needs the collector, whose pauses would count as latency.
    gc.freeze()
    gc.disable()
    _write(LoadLoop(orders, _write).run())
    return 0


def _first_line() -> str:
    """Unbuffered: what follows the line must stay for the loop, which waits for the end of stdin."""
    text = b""
    while not text.endswith(b"\n") and (more := os.read(0, 2**16)):
        text += more
    return text.decode()


def _write(said: Report | Ending) -> None:
    sys.stdout.write(said.text() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
