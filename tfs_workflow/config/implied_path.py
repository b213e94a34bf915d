"""Where the YAML lies that a path alone implies: a model's path is served without a YAML of one's own.

It lies in the user's cache directory, in a place for each working directory. The verbs that follow in the same working
directory find it there, as long as it has no YAML itself.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

_MAX_NAME = 63
_ARCHIVE_SUFFIXES = (".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".tar", ".zip")


def implied_path(directory: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the YAML of a working directory lies, whether it is there or not."""
    home = Path(environ.get("HOME", "~")).expanduser()
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "tfs-workflow" / directory_project(directory) / "tfs.yaml"


def directory_project(directory: Path) -> str:
    """A project's name made of a directory: its name, and a digest of the whole path."""
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return f"{plain_name(directory.name)[: _MAX_NAME - 9]}-{digest}"


def plain_name(name: str) -> str:
    """A name for a model or project made of a file's or directory's: letters, digits, `_`, `.` and `-`."""
    for suffix in _ARCHIVE_SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return re.sub(r"[^a-zA-Z0-9_.-]+", "_", name).strip("_.-")[:_MAX_NAME] or "model"


def is_archive(name: str) -> bool:
    """Whether a file's name says that it is an archive."""
    return name.lower().endswith(_ARCHIVE_SUFFIXES)
