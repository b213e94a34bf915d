"""Ctrl-C and SIGTERM: the first unwinds the running verb, later ones are ignored during its bounded clean-up.

A signal raises an exception in the main thread, so that every `finally` and context manager removes what it started. A
second signal must not interrupt that removal, or a container would stay behind. An alarm ends a clean-up that hangs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from tfs_workflow.cli.signal_redelivery import mark_handled, redelivering

Handler = Callable[[int, FrameType | None], Any] | int | None

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# Longer than any clean-up with a responsive engine, including the restart of a replaced server.
CLEAN_UP_S = 10.0
_IMPORT_POLL_INTERVAL_S = 0.01
_IMPORTER = "<frozen importlib._bootstrap>"
_TOO_LONG = b"error: cleaning up takes too long; invoke teardown removes what may be left\n"
# Signals belong to the process, and so does this state: open blocks, and the signal that was received.
_state = {"open": 0, "received": 0}


def arm() -> None:
    """Make SIGINT and SIGTERM end the process with 130 and 143; a signal that is already ignored stays ignored."""
    for number in NUMBERS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _on_signal)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block, the first SIGINT raises KeyboardInterrupt and the first SIGTERM SystemExit(143).

    Further signals are ignored. A clean-up longer than CLEAN_UP_S is cut short. Nested blocks count as one.
    """
    with nullcontext() if _state["open"] else redelivering({*NUMBERS, signal.SIGALRM}), _unwinding():
        yield


@contextmanager
def _unwinding() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    arm()
    _state["open"] += 1
    ending = False
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        ending = bool(_state["received"])
        raise
    finally:
        _state["open"] -= 1
        if not _state["open"]:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _settle(dict.fromkeys(NUMBERS, signal.SIG_IGN) if ending else before)


def _settle(handlers: Mapping[signal.Signals, Handler]) -> None:
    """Restore the handlers; if a signal ended the block, ignore further ones until the interpreter ends."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    _state["received"] = 0


def _on_signal(number: int, frame: FrameType | None) -> None:
    mark_handled()
    if _state["received"]:
        return
    if _is_importing(frame):
        # An interrupted import leaves half a package in memory, which the clean-up may need: retry shortly.
        signal.signal(signal.SIGALRM, lambda _, later: _on_signal(number, later))
        signal.setitimer(signal.ITIMER_REAL, _IMPORT_POLL_INTERVAL_S)
        return
    if _state["open"]:
        _state["received"] = number
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_S)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTER:
            return True
        frame = frame.f_back
    return False


def _give_up(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    os.write(2, _TOO_LONG)
    os._exit(128 + _state["received"])
