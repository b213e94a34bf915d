"""Writes each step from one file of the package into another; Python imports this module first in every process.

That is why it is on the PYTHONPATH of what is traced and of its children: a server with several processes is traced
whole. A line is a time in nanoseconds, the place of the call, and the file and function that it enters; what runs
during an import is not a step.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import FrameType
from typing import Any

_PACKAGE = os.environ["FIGURES_PACKAGE"] + os.sep
_DIRECTORY = os.environ["FIGURES_STEPS"]


def _trace(frame: FrameType, event: str, _: Any) -> None:
    path = frame.f_code.co_filename
    if event == "call" and path.startswith(_PACKAGE) and frame.f_code.co_name != "<module>":
        caller, line = _caller(frame)
        if caller != path:
            _write(f"{_name(caller)}:{line} {_name(path)} {frame.f_code.co_name}")


def _caller(frame: FrameType) -> tuple[str, int]:
    """The place in the package that this call comes from; the call's own during an import."""
    found = ("", 0)
    outer = frame.f_back
    while outer is not None:
        path = outer.f_code.co_filename
        if path.startswith(_PACKAGE):
            if outer.f_code.co_name == "<module>":
                return frame.f_code.co_filename, 0
            found = found if found[0] else (path, outer.f_lineno)
        outer = outer.f_back
    return found


def _name(path: str) -> str:
    return path[len(_PACKAGE) :]


def _write(step: str) -> None:
    line = f"{time.monotonic_ns()} {step}\n".encode()
    number = os.open(os.path.join(_DIRECTORY, str(os.getpid())), os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # noqa: PTH118
    try:
        os.write(number, line)
    finally:
        os.close(number)


threading.setprofile(_trace)
sys.setprofile(_trace)
