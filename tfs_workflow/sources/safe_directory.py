"""Writes the files of an untrusted model, so that none leaves its directory or fills the disk.

A repository or an archive can hold a file named `../../.ssh/authorized_keys`, a link to `/etc`, or a terabyte of zeros
in a megabyte. Checking names alone is not enough: a link that is written first turns a harmless name into a harmful
one. So links are collected and made last, every name is checked before its file is opened, a file is created with
O_EXCL, and no file gets more bytes than were counted for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path, PurePosixPath
from typing import IO

from tfs_workflow.errors import FetchFailedError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class WriteLimits:
    """What one model may take up; `ratio` bounds the growth of an archive beyond `free_bytes`."""

    size_bytes: int = 64 << 30
    files: int = 100_000
    # Weights compress little, and zeros a thousand to one: a factor of 200 separates models from bombs.
    ratio: int = 200
    # Below this size the ratio does not count: small archives of text may well unpack to a hundred times their size.
    free_bytes: int = 256 << 20

    def of_archive(self, archive_bytes: int) -> WriteLimits:
        """The limits for what comes out of an archive of this size."""
        return WriteLimits(min(self.size_bytes, max(self.free_bytes, self.ratio * archive_bytes)), self.files)


class SafeWriter:
    """Writes untrusted files into a new directory; FetchFailedError for a name, link or size that could do harm.

    Files are 0644, directories 0755, whatever the source sets. Links are made last, so that nothing is ever written
    through one, and must end inside.
    """

    def __init__(self, root: Path, limits: WriteLimits) -> None:
        self.root = root
        self._limits = limits
        self._links: dict[Path, str] = {}
        self._size_bytes = 0
        self._files = 0
        root.mkdir()

    def directory(self, name: str) -> None:
        """Make a directory."""
        self._count(0, name)
        self._place(name).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, content: IO[bytes], size_bytes: int) -> None:
        """Write exactly `size_bytes` of the content; a second file of the same name replaces the first, as tar does.

        Raises FetchFailedError for a name outside, a limit exceeded or a content that ends early.
        """
        self._count(size_bytes, name)
        target = self._vacated(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            left = size_bytes
            while left:
                chunk = content.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise FetchFailedError("a file ends too early", where=name, evidence=f"{left} bytes are missing")
                file.write(chunk)
                left -= len(chunk)
            file.flush()
            os.fsync(file.fileno())

    def link(self, name: str, target: str) -> None:
        """Remember a symbolic link; `finish` makes it.

        `target` may be anything; where it leads is checked by `finish`, when all files are there.
        """
        self._count(0, name)
        self._links[self._vacated(name)] = target

    def copy(self, name: str, original: str) -> None:
        """Write a second copy of a file that is there already, which is what a hard link in an archive means."""
        source = self._place(original)
        if source.is_symlink() or not source.is_file():
            raise FetchFailedError("a hard link points outside of the model", where=name, evidence=f"to {original}")
        with source.open("rb") as content:
            self.file(name, content, source.stat().st_size)

    def finish(self) -> None:
        """Make the links and set every mode; afterwards the directory can be served."""
        for place, target in self._links.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        # Before the modes are set: nothing outside may be touched through a link.
        check_links(self.root)
        for directory, _, files in os.walk(self.root):
            Path(directory).chmod(0o755)
            for path in (Path(directory, name) for name in files):
                if not path.is_symlink():
                    path.chmod(0o644)

    def _vacated(self, name: str) -> Path:
        """The place of a member, without the file or link that an earlier one of the same name left there."""
        place = self._place(name)
        self._links.pop(place, None)
        # No link exists yet, so that what is removed lies inside.
        if place.is_file():
            place.unlink()
        return place

    def _place(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        # Rejected and not corrected: a name like this is never an accident.
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise FetchFailedError("a file name leads outside of the model", where=repr(name))
        return self.root.joinpath(*parts)

    def _count(self, size_bytes: int, name: str) -> None:
        self._files += 1
        self._size_bytes += size_bytes
        if self._files > self._limits.files:
            raise FetchFailedError(
                "the model has too many files", where=name, evidence=f"more than {self._limits.files}"
            )
        if self._size_bytes > self._limits.size_bytes:
            evidence = f"{self._size_bytes} bytes so far, {self._limits.size_bytes} are allowed"
            raise FetchFailedError("the model unpacks to an unreasonable size", where=name, evidence=evidence)


@contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turn OSError into FetchFailedError, with a message of its own for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno == ENOSPC:
            raise no_space(directory) from error
        evidence = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        raise FetchFailedError(
            "the model's files cannot be read or written", where=str(directory), evidence=evidence
        ) from error


def no_space(directory: Path) -> FetchFailedError:
    """The one message for a full disk."""
    free = shutil.disk_usage(directory).free
    return FetchFailedError(
        "no space left for the model; what was there before is untouched",
        where=str(directory),
        evidence=f"{free >> 20} MiB free",
        fix="make room there, or set `workspace` in the YAML to a larger file system",
    )


def check_links(root: Path) -> None:
    """FetchFailedError unless every symbolic link below `root` is relative and ends inside; also through other
    links.
    """
    resolved = root.resolve()
    for directory, directories, files in os.walk(root):
        for link in (Path(directory, name) for name in directories + files):
            if link.is_symlink() and (link.readlink().is_absolute() or not _ends_inside(link, resolved)):
                name = link.relative_to(root).as_posix()
                raise FetchFailedError(
                    "a link points outside of the model", where=name, evidence=f"to {link.readlink()}"
                )


def _ends_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle (RuntimeError before Python 3.13)
        return False
