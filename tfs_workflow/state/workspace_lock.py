"""The lock of a workspace: one verb of a project at a time.

A flock on a file in the workspace, since the kernel releases it however the process ends. The holder may purge the
workspace, and the lock file with it, while others wait: whoever then gets the lock compares the file that it locked
with the one at the path, and begins again where they differ. Otherwise two verbs could hold two locks at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from tfs_workflow.errors import WorkflowError


class WorkspaceLock:
    """The lock file at `path`; `prepare` checks or makes the directory around it before each attempt."""

    def __init__(self, path: Path, prepare: Callable[[], None]) -> None:
        self.path = path
        self._prepare = prepare

    def wait(self, on_wait: Callable[[int | None], None] | None) -> int:
        """The locked file, once it is free; `on_wait` is called once with the holder's pid where it is known."""
        try:
            return self.take()
        except BlockingIOError:
            if on_wait is not None:
                on_wait(self.holder())
            return self.take(wait=True)

    def take_now(self) -> int:
        """The locked file; WorkflowError when another process holds it."""
        try:
            return self.take()
        except BlockingIOError as error:
            raise WorkflowError(
                "another tfs-workflow verb of this project is running",
                where=str(self.path.parent),
                evidence=f"pid {self.holder() or 'unknown'}",
                fix="wait until it is done",
            ) from error

    def holder(self) -> int | None:
        """The pid in the lock file, None where there is none."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.path.read_text())
        return None

    def take(self, *, wait: bool = False) -> int:
        """The locked file, to be closed by the caller; without `wait`, BlockingIOError when another holds it."""
        while True:
            lock = self._open()
            try:
                # The kernel's lock belongs to the open file, not to the process: a child that inherits it would hold
                # it, too, so the file is opened with O_CLOEXEC.
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if _is_at(lock, self.path):
                    with contextlib.suppress(OSError):  # on a full disk it works without the pid
                        os.ftruncate(lock, 0)
                        os.pwrite(lock, str(os.getpid()).encode(), 0)
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # its holder purged the workspace while this process waited: begin again

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            self._prepare()
            with contextlib.suppress(FileNotFoundError):  # purged by another verb in this very moment
                return os.open(self.path, flags, 0o600)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
