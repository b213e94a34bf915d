"""Looks for the packages of the embedded server before TensorFlow's library is opened.

The library may log to stderr as soon as it is opened: on a processor with AVX512-VNNI it announces oneDNN's custom
operations. A package that only a later import reports as missing would be named below those lines. The search reads
directories and imports nothing, so that a complete installation starts as fast as without it.
"""

from __future__ import annotations

import importlib.util

# The import names of what the server cannot start without; capi.py looks for TensorFlow's library itself.
REQUIRED = (
    "_cffi_backend",
    "google.protobuf",
    "google_crc32c",
    "httptools",
    "ngh2",
    "numpy",
    "orjson",
    "simdjson",
    "tensorflow",
    "uvloop",
)


def first_missing() -> str | None:
    """The import name of a required package that is not installed; None when all are."""
    return next((name for name in REQUIRED if not _is_installed(name)), None)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # the parent package is missing, or a finder refuses the name
        return False
