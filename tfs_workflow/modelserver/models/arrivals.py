"""Versions that are still being copied into a base path.

Tools such as rsync and gsutil copy file by file, so that saved_model.pb is there before its variables. TensorFlow
Serving loads such a version at once: it fails for good, or serves without variables (#1086). So a version that appears
while the model is served must be the same at two looks, unless its files are older than that, and have the files of its
variables. A version that stays incomplete is loaded after LONGEST_S all the same: the error of the load explains it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from tfs_workflow.formats import savedmodel
from tfs_workflow.modelserver import log

LONGEST_S = 30.0
# Files that were last changed before this do not change any more.
SETTLED_S = 2.0

_SOURCE = "sources/storage_path/file_system_storage_path_source.cc"
# Size and time of change of each file, by path.
_Files = dict[str, tuple[int, float]]


class Arrivals:
    """The versions of one model that have been seen and not been loaded yet."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, _Files]] = {}

    def complete(self, found: dict[int, Path], loaded: Iterable[int]) -> dict[int, Path]:
        """The versions found without those that are still being copied; `loaded` are not looked at."""
        known = set(loaded)
        new = {number: path for number, path in found.items() if number not in known}
        self._seen = {number: seen for number, seen in self._seen.items() if number in new}
        waiting = {number for number, path in new.items() if self._is_waiting(number, path)}
        return {number: path for number, path in found.items() if number not in waiting}

    def _is_waiting(self, number: int, path: Path) -> bool:
        files, now_s = _files(path), time.monotonic()
        since_s, before = self._seen.get(number, (now_s, None))
        is_settled = files == before or _is_old(files)
        if now_s - since_s > LONGEST_S or (is_settled and not savedmodel.lacks_variables(path)):
            return False
        if before is None:
            log.info(_SOURCE, f"Version {number} at {path} is still being copied: it is loaded when it is complete.")
        self._seen[number] = (since_s, files)
        return True


def _files(directory: Path) -> _Files:
    found: _Files = {}
    for path in (directory, *directory.rglob("*")):
        try:
            status = path.stat()
        except OSError:  # renamed just now
            continue
        found[str(path)] = (status.st_size, status.st_mtime)
    return found


def _is_old(files: _Files) -> bool:
    return all(time.time() - changed_s > SETTLED_S for _, changed_s in files.values())
