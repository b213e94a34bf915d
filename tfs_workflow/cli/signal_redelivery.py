"""Sends a signal again that Python has noted and not acted on, as its main thread went to wait in that very moment.

Python's own handler in C takes a note; what was installed with `signal.signal` runs when the interpreter looks next. A
note taken between its last look and a call that blocks is found only when that call comes back, which may be never.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress

# A handler that has not run after this long waits for the main thread to wake.
LOST_AFTER_S = 0.1
# The interpreter writes a byte for every signal that it notes; a handler that runs takes them out.
_notes: list[socket.socket] = []


@contextmanager
def sent_again(numbers: Container[int]) -> Iterator[None]:
    """Inside, signals of these numbers wake the main thread; their handlers call `acknowledge`."""
    notes, interpreter = socket.socketpair()
    interpreter.setblocking(False)
    before = signal.set_wakeup_fd(interpreter.fileno(), warn_on_full_buffer=False)
    _notes.append(notes)
    watch = threading.Thread(target=_watch, args=(notes, numbers), name="signals", daemon=True)
    try:
        watch.start()
        yield
    finally:
        signal.set_wakeup_fd(before)
        acknowledge()
        _notes.remove(notes)
        interpreter.close()  # which ends the thread


def acknowledge() -> None:
    """A handler has run."""
    for notes in _notes:
        with suppress(BlockingIOError):
            notes.recv(4096, socket.MSG_DONTWAIT)


def _watch(notes: socket.socket, numbers: Container[int]) -> None:
    main = threading.main_thread().ident
    assert main is not None  # noqa: S101  # it has been started
    with notes:
        while noted := notes.recv(1, socket.MSG_PEEK):
            if noted[0] not in numbers:
                notes.recv(1)  # somebody else's signal and handler
                continue
            time.sleep(LOST_AFTER_S)
            with suppress(BlockingIOError):
                if notes.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == noted:
                    signal.pthread_kill(main, noted[0])
