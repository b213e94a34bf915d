"""Notes which requests run, in memory that outlives the process.

A kernel that ends the process leaves no time to say what it was doing. So the number of a request is written down
before it runs, where the fronts can read it afterwards: a request that is noted may have had an effect and may be the
cause; every other one can be sent to the next engine. A thread has a place of its own, so that noting takes no lock. A
server of one process notes into memory that nobody reads.

Beside its number a request may note its kind (inference/refused_kinds.py). The parent reads it when the engine has
crashed, and hands it to the next engine as one to be refused.
"""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

# Places for numbers of eight bytes; 0 is none. The first two are for times: of the last message, of the last heartbeat.
PLACES = 4096
_TIMES = 2
# The first of them may note a kind: the number of its request, its length, and its text.
_KIND_PLACES = 128
_KIND_BYTES = 512
_KIND = struct.Struct("<QI")
_KINDS_START = 8 * PLACES
# The kinds to refuse: their length, and one on each line.
_REFUSED_START = _KINDS_START + _KIND_PLACES * _KIND_BYTES
_REFUSED_BYTES = 2**16
_LENGTH = struct.Struct("<I")
SIZE_BYTES = _REFUSED_START + _REFUSED_BYTES

Numbers = memoryview

# In the number that a front gives: the request ran in a batch when the engine ended, and now runs in none.
ALONE = 1 << 62
# In a note: the request runs in a batch, and may run again alone should the engine end.
_MAY_RUN_AGAIN = 1 << 63


class _Notes:
    """The memory in use."""

    def __init__(self) -> None:
        self.content = memoryview(bytearray(SIZE_BYTES))
        self.numbers: Numbers = self.content[:_KINDS_START].cast("Q")
        self.refused: frozenset[bytes] = frozenset()
        self.is_shared = False


class _Thread(threading.local):
    def __init__(self) -> None:
        # Threads beyond these share the last place: a server has a few dozen.
        self.place = min(next(_places), PLACES // 2 - 1)


_places = itertools.count(_TIMES)
_lock = threading.Lock()
_batch_places = list(range(PLACES // 2, PLACES))
_notes = _Notes()
_thread = _Thread()


def attach(shared: memoryview) -> Numbers:
    """Note into this memory from now on; returns its numbers."""
    _notes.content, _notes.numbers = shared, shared[:_KINDS_START].cast("Q")
    (length,) = _LENGTH.unpack_from(shared, _REFUSED_START)
    start = _REFUSED_START + _LENGTH.size
    _notes.refused = frozenset(bytes(shared[start : start + length]).split(b"\n")) - {b""}
    _notes.is_shared = True
    return _notes.numbers


def is_shared() -> bool:
    """Whether somebody reads the notes."""
    return _notes.is_shared


def place() -> int:
    """Where this thread notes."""
    return _thread.place


def note(number: int) -> None:
    """This thread runs the request with this number from now on; 0 is none."""
    _notes.numbers[_thread.place] = number


def noted() -> int:
    """The number of the request that this thread runs."""
    return int(_notes.numbers[_thread.place])


def note_kind(kind: bytes) -> None:
    """The request that this thread runs is of this kind."""
    place = _thread.place
    if place < _KIND_PLACES and len(kind) <= _KIND_BYTES - _KIND.size:
        start = _KINDS_START + place * _KIND_BYTES
        _notes.content[start + _KIND.size : start + _KIND.size + len(kind)] = kind
        _KIND.pack_into(_notes.content, start, noted(), len(kind))


def is_refused(kind: bytes) -> bool:
    """Whether a request of this kind has ended an engine."""
    return kind in _notes.refused


@contextmanager
def batch(numbers: Sequence[int], may_run_again: bool) -> Iterator[None]:
    """Several requests run in this thread together during the block; afterwards each may run again, if need be."""
    memory, before = _notes.numbers, noted()
    with _lock:
        places = [_batch_places.pop() for _ in numbers[: len(_batch_places)]]
    try:
        # The kind of a batch is not noted where each request shows by itself what it does.
        note(0 if may_run_again else numbers[0])
        mark = _MAY_RUN_AGAIN if may_run_again else 0
        for one, number in zip(places, numbers, strict=False):
            memory[one] = number | mark
        yield
    finally:
        for one in places:
            memory[one] = 0
        note(before)
        with _lock:
            _batch_places.extend(places)


# For the readers.


def heartbeat_in(content: memoryview) -> memoryview[float]:
    """Where the engine writes the time of its last heartbeat."""
    return content[8:16].cast("d")


def numbers_in(content: memoryview) -> set[int]:
    """The numbers of the requests that run, or ran when the engine ended."""
    return {number & ~_MAY_RUN_AGAIN for number in _noted_in(content)}


def to_run_again(content: memoryview) -> set[int]:
    """Those of them that are to run again alone: mates of a batch, of which one may have ended the engine."""
    noted = _noted_in(content)
    return {number & ~_MAY_RUN_AGAIN for number in noted if number & _MAY_RUN_AGAIN} if len(noted) > 1 else set()


def _noted_in(content: memoryview) -> set[int]:
    return set(content[8 * _TIMES : _KINDS_START].cast("Q")) - {0}


def kinds_in(content: memoryview) -> set[bytes]:
    """The kinds of these requests, as far as they are noted."""
    kinds, numbers = set(), numbers_in(content)
    for start in range(_KINDS_START, _REFUSED_START, _KIND_BYTES):
        number, length = _KIND.unpack_from(content, start)
        if number in numbers:
            kinds.add(bytes(content[start + _KIND.size : start + _KIND.size + length]))
    return kinds


def refuse(content: memoryview, kinds: Iterable[bytes]) -> None:
    """Write down what an engine that is not started yet has to refuse."""
    text = b"\n".join(kinds)[: _REFUSED_BYTES - _LENGTH.size]
    _LENGTH.pack_into(content, _REFUSED_START, len(text))
    content[_REFUSED_START + _LENGTH.size : _REFUSED_START + _LENGTH.size + len(text)] = text
