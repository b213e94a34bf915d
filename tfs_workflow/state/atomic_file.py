"""Files that appear whole or not at all.

A process can be killed between any two system calls, and a disk can be full. Writing in place would leave half a file,
which the next verb would have to repair or misread. So the content goes into a temporary file in the same directory, is
flushed to the disk, and takes the name in one rename. Renaming before flushing would not do: after a power failure some
file systems show the new name with no content.

The temporary file's name holds the process id and the thread, so that writers do not meet, and so that a later write
finds and removes the files of processes that are gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfs_workflow.errors import ConfigError


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that every reader sees the old text or the new, also after a kill at any moment.

    OSError as the system gives it.

    `mode` applies whatever the umask is. Of two writers the later rename wins.
    """
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        # O_NOFOLLOW: in a directory that others can write to, the name might be a link to another file.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_named(path: Path, text: str) -> None:
    """Write a file whole at a place that the user named; ConfigError where the system refuses it."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigError("cannot be written", where=str(path), evidence=str(error.strerror)) from error


@contextlib.contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, which appears under its name when the block ends and leaves nothing when it raises.

    Until then it has no name where the file system supports that (O_TMPFILE), so that a kill leaves nothing either.
    A pipe or another special file is written to in place; OSError as the system gives it.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()  # a link keeps pointing to the file that it names
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with _nameless(path.parent) or temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # A nameless file cannot replace another by linking, as link(2) fails where the name exists. So it gets the
            # temporary name first, and the rename below takes the last step in both cases.
            if not temporary.exists():
                _name(file, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _nameless(directory: Path) -> BinaryIO | None:
    """A new file without a name, or None where there are none."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        return os.fdopen(os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), "wb")
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            return None  # not supported there; any other fault is raised by the next step
        raise


def _name(file: BinaryIO, path: Path) -> None:
    """Give a file without a name one (open(2), O_TMPFILE)."""
    directory = os.open(path.parent, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    try:
        # With a directory given Python calls linkat, which alone follows the link in /proc.
        os.link(f"/proc/self/fd/{file.fileno()}", path.name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn OSError into ConfigError, since the user chose the place.

    Raises ConfigError with the system's reason as evidence.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            "cannot be written",
            where=str(path),
            evidence=str(error.strerror),
            fix="make room there or give us the right to write, or set `workspace` in the YAML to another path",
        ) from error


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of processes that were killed while writing this path."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        pid = leftover.name.split(".")[-2].partition("-")[0]
        # The file of a living process is one that it is about to rename.
        if pid.isdigit() and not _is_alive(int(pid)):
            leftover.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's
    except (ProcessLookupError, OverflowError):
        return False
    return True
