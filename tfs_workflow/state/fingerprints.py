"""What `setup` remembers of a fetched model: enough to see, without reading the files, that they are as they were."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

_CHUNK_BYTES = 1 << 20
# Relative path → [size in bytes, mtime in ns, sha256].
Stamps = dict[str, list[int | str]]


def served_files(base_path: Path) -> Iterator[Path]:
    """Every file in the version directories, or every file where there is no version; sorted, links followed."""
    versions = sorted(entry for entry in base_path.iterdir() if entry.name.isdigit() and entry.is_dir())
    seen: set[tuple[int, int]] = set()
    for root in versions or [base_path]:
        for directory, below, names in os.walk(root, followlinks=True):
            status = Path(directory).stat()
            if (status.st_dev, status.st_ino) in seen:
                below.clear()  # a link leads back up
                continue
            seen.add((status.st_dev, status.st_ino))
            below.sort()
            yield from (path for path in (Path(directory, name) for name in sorted(names)) if path.is_file())


def stamps(base_path: Path, known: Mapping[str, list[int | str]]) -> dict[str, list[int | str]]:
    """Relative path → [size in bytes, mtime in ns, sha256]; a digest is only computed where size or mtime moved."""
    found: dict[str, list[int | str]] = {}
    for path in served_files(base_path):
        status = path.stat()
        relative = path.relative_to(base_path).as_posix()
        before = known.get(relative, [])
        if before[:2] == [status.st_size, status.st_mtime_ns]:
            found[relative] = before
        else:
            found[relative] = [status.st_size, status.st_mtime_ns, _sha256(path)]
    return found


def is_intact(base_path: Path, known: Mapping[str, list[int | str]]) -> bool:
    """Whether exactly these files are there, with the same sizes and times; reads no file."""
    try:
        found = {path.relative_to(base_path).as_posix(): path.stat() for path in served_files(base_path)}
    except OSError:
        return False
    return {name: [s.st_size, s.st_mtime_ns] for name, s in found.items()} == {n: k[:2] for n, k in known.items()}


def glance(base_path: Path, versions: Sequence[int], known: Stamps) -> Stamps:
    """The stamps of these versions' files as they are now, without reading one; an unknown digest is empty."""
    found: Stamps = {}
    for path in served_files(base_path):
        relative = path.relative_to(base_path).as_posix()
        if _version(relative) in versions:
            status, before = path.stat(), known.get(relative, [])
            moved = before[:2] != [status.st_size, status.st_mtime_ns]
            found[relative] = [status.st_size, status.st_mtime_ns, ""] if moved else list(before)
    return found


def changed_since(base_path: Path, versions: Container[int], known: Stamps) -> list[str]:
    """A line for every file of these versions that is not as it was; reads only files whose size or time moved."""
    lines, found = [], set()
    recorded = {version for name in known if (version := _version(name)) in versions}
    for path in served_files(base_path) if base_path.is_dir() else ():
        relative = path.relative_to(base_path).as_posix()
        found.add(relative)
        if _version(relative) not in recorded:
            continue
        if relative not in known:
            lines.append(f"{relative} is new")
        elif not _is_same(path, known[relative]):
            lines.append(f"{relative} changed")
    gone = (name for name in known if name not in found and _version(name) in versions)
    return sorted([*lines, *(f"{name} is gone" for name in gone)])


def _is_same(path: Path, stamp: list[int | str]) -> bool:
    status = path.stat()
    if [status.st_size, status.st_mtime_ns] == stamp[:2]:
        return True
    return status.st_size == stamp[0] and bool(stamp[2]) and _sha256(path) == stamp[2]


def _version(relative: str) -> int | None:
    head = relative.partition("/")[0]
    return int(head) if head.isdigit() else None


def digests(known: Mapping[str, list[int | str]]) -> dict[str, str]:
    """Relative path → sha256."""
    return {name: str(stamp[2]) for name, stamp in known.items()}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
