"""What one load generator measures: latencies, errors, and its own processor time."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from tfs_workflow.quality.bench.generator.orders import Report
from tfs_workflow.quality.bench.histogram import encoded

_SCHEDULE = Path("/proc/self/schedstat")


class Measurement:
    """Collects between two reports; recording must cost next to nothing, so the histogram is made at the report."""

    __slots__ = ("answered", "errors", "late", "latencies_us")

    def __init__(self) -> None:
        self.latencies_us: list[int] = []
        self.errors: Counter[str] = Counter()
        self.answered = self.late = 0

    def report(self, at_s: float) -> Report:
        """What was measured since the last report, which ends `at_s` seconds after the first request that counts."""
        taken = Report(at_s, self.answered, encoded(Counter(self.latencies_us)), dict(self.errors), self.late)
        self.forget()
        return taken

    def forget(self) -> None:
        """Begin anew."""
        self.latencies_us.clear()
        self.errors.clear()
        self.answered = self.late = 0


class OwnUse:
    """The processor time that this process takes from now on, and the time that it waits for a processor."""

    def __init__(self) -> None:
        self._cpu_s, self._waited_s = time.process_time(), _waited_s()

    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        return time.process_time() - self._cpu_s

    def waited_s(self) -> float:
        """Seconds in which it could have run and had no processor; 0 where the system does not tell."""
        return _waited_s() - self._waited_s


def _waited_s() -> float:
    try:
        return int(_SCHEDULE.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
