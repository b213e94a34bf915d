"""Heartbeats: each child writes the time into shared memory once a second, and the parent looks whether it changes.

The engine has a thread for it, which goes on while TensorFlow computes: a long run is no hang. A front beats in its
event loop, which never computes for long. A child whose beats stop is stuck with the interpreter's lock held, or was
stopped by a signal; it answers nothing any more.

The parent counts its own looks and not the seconds: when the whole machine stands still, the parent does so, too.
"""

from __future__ import annotations

import time

EVERY_S = 1.0
# So many looks without a new beat, one a second, and the child is replaced.
MOST_STILL_LOOKS = 10
# Until the first beat a process is started and Python is read from the disk.
MOST_LOOKS_BEFORE_THE_FIRST = 60


def beat(place: memoryview[float]) -> None:
    """Show that this process works; the place holds one float64."""
    place[0] = time.monotonic()


def beat_on(place: memoryview[float]) -> None:
    """Beat until the process ends."""
    while True:
        beat(place)
        time.sleep(EVERY_S)


class Pulse:
    """The beats of one child, as the parent sees them."""

    def __init__(self, place: memoryview[float]) -> None:
        self._place = place
        self._last_s = 0.0
        self._still_looks = 0

    def is_lost(self) -> bool:
        """Look once, a second after the last look; whether the child has been still for too long."""
        beat_s = self._place[0]
        self._still_looks = self._still_looks + 1 if beat_s == self._last_s else 0
        self._last_s = beat_s
        return self._still_looks >= (MOST_STILL_LOOKS if beat_s else MOST_LOOKS_BEFORE_THE_FIRST)
