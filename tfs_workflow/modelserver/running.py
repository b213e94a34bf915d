"""Notes which requests run, in memory that outlives the process.

A kernel that ends the process leaves no time to say what it was doing. So the number of a request is written down
before it runs, where the fronts can read it afterwards: a request that is noted may have had an effect and may be the
cause; every other one can be sent to the next engine. A thread has a place of its own, so that noting takes no lock. A
server of one process notes into memory that nobody reads.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Places for numbers of eight bytes; 0 is none. The first is for the time of the last message to the engine.
PLACES = 4096
SIZE_BYTES = 8 * PLACES

Memory = memoryview

# One list, as an attribute of the module would be looked up by name each time.
_memory: list[Memory] = [memoryview(bytearray(SIZE_BYTES)).cast("Q")]
_places = itertools.count(1)
_lock = threading.Lock()
_batch_places = list(range(PLACES // 2, PLACES))


class _Thread(threading.local):
    def __init__(self) -> None:
        # Threads beyond these share the last place: a server has a few dozen.
        self.place = min(next(_places), PLACES // 2 - 1)


_thread = _Thread()


def attach(shared: memoryview) -> Memory:
    """Note into this memory from now on; returns it as numbers."""
    _memory[0] = shared[:SIZE_BYTES].cast("Q")
    return _memory[0]


def place() -> int:
    """Where this thread notes."""
    return _thread.place


def note(number: int) -> None:
    """This thread runs the request with this number from now on; 0 is none."""
    _memory[0][_thread.place] = number


def noted() -> int:
    """The number of the request that this thread runs."""
    return int(_memory[0][_thread.place])


@contextmanager
def batch(numbers: Sequence[int]) -> Iterator[None]:
    """Several requests run in this thread together during the block."""
    memory = _memory[0]
    with _lock:
        places = [_batch_places.pop() for _ in numbers[: len(_batch_places)]]
    try:
        for place, number in zip(places, numbers, strict=False):
            memory[place] = number
        yield
    finally:
        for place in places:
            memory[place] = 0
        with _lock:
            _batch_places.extend(places)
