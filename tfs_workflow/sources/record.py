"""What `setup` remembers of a fetched model: enough to see, without reading the files, that they are as they were."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_CHUNK_BYTES = 1 << 20


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


def digests(known: Mapping[str, list[int | str]]) -> dict[str, str]:
    """Relative path → sha256."""
    return {name: str(stamp[2]) for name, stamp in known.items()}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
