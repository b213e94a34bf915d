"""Fingerprints of a model's files: size, time and digest, so that a change is found without reading every file.

Reading a large model takes minutes, and a second setup should take less than a second. Size and modification time show
nearly every change, so a digest is computed once and trusted while both are the same. What this misses is a change of
equal size whose time was set back, which does not happen by accident.

Links are followed, since a base path may consist of them, and each directory is entered once, since a link may lead
back up.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfs_workflow.formats.savedmodel import WARMUP_FILE

_CHUNK_BYTES = 1 << 20


class Fingerprint(NamedTuple):
    """One file; `sha256` is empty where it was not computed."""

    size_bytes: int
    mtime_ns: int
    sha256: str


# By path relative to the base path.
Fingerprints = dict[str, Fingerprint]


def served_files(base_path: Path) -> Iterator[Path]:
    """Every file in the version directories, or every file where there is no version; sorted, links followed."""
    versions = sorted(entry for entry in base_path.iterdir() if entry.name.isdigit() and entry.is_dir())
    # Device and inode: the same directory may be reached by several paths.
    seen: set[tuple[int, int]] = set()
    for root in versions or [base_path]:
        for directory, below, names in os.walk(root, followlinks=True):
            status = Path(directory).stat()
            if (status.st_dev, status.st_ino) in seen:
                below.clear()  # a link leads back up
                continue
            seen.add((status.st_dev, status.st_ino))
            # os.walk visits what this list holds, in its order.
            below.sort()
            yield from (path for path in (Path(directory, name) for name in sorted(names)) if path.is_file())


def fingerprints(base_path: Path, known: Mapping[str, Fingerprint]) -> Fingerprints:
    """The fingerprint of every served file; a digest is only computed where size or time differ from `known`.

    Keys are paths relative to the base path, with `/`. Raises OSError.
    """
    found: Fingerprints = {}
    for path in served_files(base_path):
        relative = path.relative_to(base_path).as_posix()
        found[relative] = _unread(path, known.get(relative))
        if not found[relative].sha256:
            found[relative] = found[relative]._replace(sha256=_sha256(path))
    return found


def is_intact(base_path: Path, known: Mapping[str, Fingerprint]) -> bool:
    """Whether exactly these files are there, with the same sizes and times; reads no file."""
    try:
        found = {path.relative_to(base_path).as_posix(): path.stat() for path in served_files(base_path)}
    except OSError:
        return False
    return {name: (s.st_size, s.st_mtime_ns) for name, s in found.items()} == {n: k[:2] for n, k in known.items()}


def fingerprints_unread(base_path: Path, versions: Sequence[int], known: Fingerprints) -> Fingerprints:
    """The fingerprints of these versions' files, without reading one; a digest that `known` lacks is empty."""
    found: Fingerprints = {}
    for path in served_files(base_path):
        relative = path.relative_to(base_path).as_posix()
        if _version(relative) in versions:
            found[relative] = _unread(path, known.get(relative))
    return found


def changed_since(base_path: Path, versions: Container[int], known: Fingerprints) -> list[str]:
    """A line for every file of these versions that is not as it was; reads only files whose size or time moved.

    Sorted lines such as "1/saved_model.pb changed". A file that was touched but has the same content is not listed, and
    neither are files of a version that was not recorded, nor warm-up requests: they were sent when it was loaded.
    """
    lines, found = [], set()
    # A version without a record was published later; it cannot have changed since.
    recorded = {version for name in known if (version := _version(name)) in versions}
    for path in served_files(base_path) if base_path.is_dir() else ():
        relative = path.relative_to(base_path).as_posix()
        found.add(relative)
        if _version(relative) not in recorded or _is_warmup(relative):
            continue
        if relative not in known:
            lines.append(f"{relative} is new")
        elif not _is_same(path, known[relative]):
            lines.append(f"{relative} changed")
    gone = (name for name in known if name not in found and _version(name) in versions and not _is_warmup(name))
    return sorted([*lines, *(f"{name} is gone" for name in gone)])


def _is_same(path: Path, known: Fingerprint) -> bool:
    now = _unread(path, known)
    if now == known:
        return True
    # Only now is the file read: its time moved, and its size did not.
    return now.size_bytes == known.size_bytes and bool(known.sha256) and _sha256(path) == known.sha256


def _unread(path: Path, known: Fingerprint | None) -> Fingerprint:
    """The file's size and time, with the known digest where both are the known ones."""
    status = path.stat()
    if known is not None and (status.st_size, status.st_mtime_ns) == known[:2]:
        return known
    return Fingerprint(status.st_size, status.st_mtime_ns, "")


def _is_warmup(relative: str) -> bool:
    return relative.partition("/")[2] == WARMUP_FILE.as_posix()


def _version(relative: str) -> int | None:
    head = relative.partition("/")[0]
    return int(head) if head.isdigit() else None


def digests(known: Mapping[str, Fingerprint]) -> dict[str, str]:
    """Relative path → sha256."""
    return {name: fingerprint.sha256 for name, fingerprint in known.items()}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
