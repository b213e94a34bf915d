"""Log lines on stderr in TensorFlow Serving's form, which people and tools search for.

Each line goes out in one `os.write`, since worker threads, load threads and TensorFlow itself write to the same
descriptor. A buffered stream would mix the pieces of two lines.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime


def info(source: str, message: str) -> None:
    """An ordinary event; `source` is the TensorFlow Serving file whose line this is."""
    _write("I", source, message)


def warning(source: str, message: str) -> None:
    """Something that a user should look at."""
    _write("W", source, message)


def error(source: str, message: str) -> None:
    """Something that went wrong."""
    _write("E", source, message)


def _write(severity: str, source: str, message: str) -> None:
    # Local time, as TensorFlow's own lines in the same log have it.
    now = datetime.now().astimezone()
    line = f"{now:%Y-%m-%d %H:%M:%S.%f}: {severity} tensorflow_serving/{source}] {message}\n"
    try:
        os.write(sys.stderr.fileno(), line.encode("utf-8", "replace"))
    except OSError:
        return  # nobody reads the log any more: serving goes on
