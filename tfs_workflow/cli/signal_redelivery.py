"""Re-sends a signal that arrived just before the main thread blocked and whose Python handler therefore never ran.

Python's handler in C only sets a flag. The handler that was installed with `signal.signal` runs when the interpreter
checks that flag. A signal between its last check and a blocking call is handled only when that call returns, which may
be never. A thread therefore waits for each signal and sends it again when no handler has run in time.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress

# A handler that has not run after this time waits for a main thread that is blocked.
REDELIVERY_AFTER_S = 0.1
# The interpreter writes a byte for each signal that it receives; a handler that runs reads them.
_notes: list[socket.socket] = []


@contextmanager
def redelivering(numbers: Container[int]) -> Iterator[None]:
    """Inside the block, signals of these numbers wake the main thread; their handlers call `mark_handled`."""
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
        mark_handled()
        _notes.remove(notes)
        interpreter.close()  # which ends the thread


def mark_handled() -> None:
    """Record that a handler has run."""
    for notes in _notes:
        with suppress(BlockingIOError):
            notes.recv(4096, socket.MSG_DONTWAIT)


def _watch(notes: socket.socket, numbers: Container[int]) -> None:
    main = threading.main_thread().ident
    assert main is not None  # noqa: S101  # it has been started
    with notes:
        while noted := notes.recv(1, socket.MSG_PEEK):
            if noted[0] not in numbers:
                notes.recv(1)  # a signal with a handler of another owner
                continue
            time.sleep(REDELIVERY_AFTER_S)
            with suppress(BlockingIOError):
                if notes.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == noted:
                    signal.pthread_kill(main, noted[0])
