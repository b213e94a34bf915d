"""Ctrl-C and SIGTERM: the first one unwinds whatever runs, later ones wait for the clean-up, which has a bound."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from tfs_workflow.cli.signal_redelivery import acknowledge, sent_again

Handler = Callable[[int, FrameType | None], Any] | int | None

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# Longer than any clean-up takes with an engine that answers; a replaced server may have to be brought back.
CLEAN_UP_S = 10.0
AGAIN_S = 0.01
_IMPORTER = "<frozen importlib._bootstrap>"
_TOO_LONG = b"error: cleaning up takes too long; invoke teardown removes what may be left\n"
# Signals are the process's own, and so is this: how many verbs are being unwound if one comes, and which came.
_state = {"open": 0, "came": 0}


def arm() -> None:
    """From now on SIGINT and SIGTERM end the process with 130 and 143; who ignores them goes on doing so."""
    for number in NUMBERS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _on_signal)


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, SIGINT raises KeyboardInterrupt and SIGTERM SystemExit(143), once; more of them change nothing.

    A clean-up that takes longer than CLEAN_UP_S is cut short. A block inside another one is part of that.
    """
    with nullcontext() if _state["open"] else sent_again({*NUMBERS, signal.SIGALRM}), _unwound():
        yield


@contextmanager
def _unwound() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    arm()
    _state["open"] += 1
    ending = False
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        ending = bool(_state["came"])
        raise
    finally:
        _state["open"] -= 1
        if not _state["open"]:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _settle(dict.fromkeys(NUMBERS, signal.SIG_IGN) if ending else before)


def _settle(handlers: Mapping[signal.Signals, Handler]) -> None:
    """After a block: as it was before it, or deaf where a signal ended it and only the interpreter is left to end."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    _state["came"] = 0


def _on_signal(number: int, frame: FrameType | None) -> None:
    acknowledge()
    if _state["came"]:
        return
    if _is_importing(frame):
        # An import that is cut short leaves half a package behind, which the clean-up may need: it takes moments only.
        signal.signal(signal.SIGALRM, lambda _, later: _on_signal(number, later))
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        return
    if _state["open"]:
        _state["came"] = number
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
    os._exit(128 + _state["came"])
