"""What each kind of runtime is, as facts: no code elsewhere compares a runtime's name."""

from __future__ import annotations

import os

# The user that a container runs as where we are root: `nobody` on every Linux.
NOBODY = (65534, 65534)


def reader(runtime: str) -> tuple[int, int] | None:
    """Uid and gid that the server reads the models with, where these are not our own."""
    return NOBODY if runtime == "docker" and os.getuid() == 0 else None
