"""Rejects a Python that this package does not support.

Pip checks `requires-python` when it installs. An environment that was copied, or whose Python was upgraded in place,
bypasses that check. This module is imported first, so that every Python 3 must be able to parse it.
"""

from __future__ import annotations

import sys

OLDEST, NEWEST = (3, 10), (3, 13)


def refusal(version: tuple[int, int]) -> str:
    """Why this Python is rejected; empty for a supported one."""
    if OLDEST <= version <= NEWEST:
        return ""
    found, oldest, newest = (".".join(map(str, one)) for one in (version, OLDEST, NEWEST))
    return f"error: Python {found} is not supported; tfs-workflow runs on Python {oldest} to {newest}"


def require_supported_python() -> None:
    """End the process with exit code 3 and one line on an unsupported Python."""
    message = refusal(sys.version_info[:2])
    if message:
        sys.stderr.write(message + "\n")
        sys.exit(3)
