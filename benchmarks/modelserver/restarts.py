"""Replaces servers behind a balancer, SIGUSR1 ahead of SIGTERM, and counts the requests that fail.

Run it with `python -m benchmarks.modelserver.restarts [COUNT] [FLAGS...]`.
"""

from __future__ import annotations

import sys

from tests.support.modelserver.balancer import restarts


def main(count: int, *flags: str) -> int:
    """Print how many requests had which result."""
    seen = restarts(count, *flags).seen
    print(f"{count} replacements:", ", ".join(f"{number} {what}" for what, number in seen.most_common()))
    return int(set(seen) != {"right"})


if __name__ == "__main__":
    sys.exit(main(int((*sys.argv[1:2], "100")[0]), *sys.argv[2:]))
