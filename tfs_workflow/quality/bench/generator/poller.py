"""Waits for sockets with a deadline in microseconds: epoll itself rounds a wait up to a whole millisecond."""

from __future__ import annotations

import select
import selectors
from collections.abc import Sequence

_BLOCKED = selectors.EVENT_READ | selectors.EVENT_WRITE


class Poller:
    """Which sockets, by number, have something to read or take something.

    The fine wait costs a call more, which only a generator needs that must send at a given moment.
    """

    def __init__(self, *, fine: bool) -> None:
        self._fine = fine
        self._selector = selectors.DefaultSelector()
        # A selector is a file itself, which select waits for with its finer clock.
        self._own = [self._selector.fileno()]

    def watch(self, number: int, *, is_blocked: bool = False) -> None:
        """Watch a socket for something to read, and where it is blocked for room to write."""
        events = _BLOCKED if is_blocked else selectors.EVENT_READ
        if number in self._selector.get_map():
            self._selector.modify(number, events)
        else:
            self._selector.register(number, events)

    def forget(self, number: int) -> None:
        """Watch a socket no more; before it is closed."""
        self._selector.unregister(number)

    def ready(self, wait_s: float) -> Sequence[int]:
        """The sockets that are ready after at most so many seconds."""
        if self._fine and wait_s > 0:
            select.select(self._own, (), (), wait_s)
            wait_s = 0
        return [key.fd for key, _ in self._selector.select(wait_s)]

    def close(self) -> None:
        """Release the selector."""
        self._selector.close()
