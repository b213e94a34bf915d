"""The workspace, which is the directory that `setup` makes: its owner marker, its directories and its removal.

Removing a directory recursively is dangerous where its path comes from a YAML. So a workspace is only ever used, and
only ever purged, if it is a real directory of this user, closed to others, with the marker of this project, and with no
file that this tool did not create.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfs_workflow import __version__
from tfs_workflow.errors import ConfigError
from tfs_workflow.state.atomic_file import write_whole
from tfs_workflow.state.cleanup import end_processes, remove
from tfs_workflow.state.workspace_lock import WorkspaceLock

MARKER = ".tfs-workflow.json"
_LOCK = ".lock"
STATE_FILE = "state.json"
_DIRECTORIES = {"models": 0o755, "serving": 0o755, "run": 0o700, "staging": 0o700}
_OURS = {MARKER, _LOCK, STATE_FILE, *_DIRECTORIES}


class Workspace:
    """One project's directory, mode 0700; `create` makes or checks it, `open` finds it again.

    `models/` and `serving/` are readable for everyone, so that a container's user can read them once they are
    mounted; on this machine the mode of the workspace protects them. Safe to share between threads.
    """

    def __init__(self, path: Path, project: str) -> None:
        self.path = path
        self.project = project
        self._creates = False
        self._lock = WorkspaceLock(path / _LOCK, self._prepare)

    @classmethod
    def create(cls, path: str | Path, project: str) -> Workspace:
        """Make the directory, or take the one that is there if it is this project's; ConfigError if it is not."""
        workspace = cls(_absolute(path), project)
        workspace._creates = True
        with workspace._creation_errors():
            try:
                lock = workspace._lock.take()
            except BlockingIOError:
                return workspace  # another verb works in it: `exclusive` adds what is missing afterwards
            try:
                workspace._fill()
            finally:
                os.close(lock)
        return workspace

    @classmethod
    def open(cls, path: str | Path, project: str) -> Workspace | None:
        """The workspace of an earlier `create`, None where there is none; ConfigError if it is another project's."""
        workspace = cls(_absolute(path), project)
        try:
            workspace._check_directory()
            # Without a marker it is empty, or its creation or its purge was cut short: nothing is set up.
            return workspace if workspace._check_marker(may_be_missing=True) else None
        except FileNotFoundError:
            return None

    @property
    def models(self) -> Path:
        """Fetched models, one base path each."""
        return self.path / "models"

    @property
    def serving(self) -> Path:
        """The generated configuration of the model server."""
        return self.path / "serving"

    @property
    def run(self) -> Path:
        """Logs of model servers that are local processes."""
        return self.path / "run"

    @contextmanager
    def staged(self, prefix: str) -> Iterator[Path]:
        """A new directory on the same file system, removed at the end; the result is renamed out of it before."""
        directory = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.path / "staging"))
        try:
            yield directory
        finally:
            remove(directory)

    @contextmanager
    def exclusive(self, on_wait: Callable[[int | None], None] | None = None, *, wait: bool = True) -> Iterator[None]:
        """Only one verb of a project at a time; the lock ends with the process, however that ends.

        `on_wait` is called once, with the holder's process id where it is known. Without `wait`, a taken lock is a
        WorkflowError. Leftovers of killed runs in `staging/` are removed. Not reentrant.
        """
        lock = self._lock.wait(on_wait) if wait else self._lock.take_now()
        try:
            self._clear_staging()
            if self._creates:
                with self._creation_errors():
                    self._fill()  # again: a purge may have come between `create` and the lock
            yield
        finally:
            os.close(lock)

    def purge(self) -> None:
        """Remove the workspace and all that is in it; ConfigError, and nothing removed, if it holds foreign files."""
        if not os.path.lexists(self.path):
            return
        self._check_directory()
        self._check_marker()
        if foreign := self._foreign():
            raise ConfigError(
                "the workspace also holds files that setup did not make; nothing was removed",
                where=str(self.path),
                evidence=", ".join(foreign[:5]),
                fix="move them elsewhere, then purge again",
            )
        # The marker and the lock go last: a purge that is killed half way can be repeated, and nobody else gets in.
        for entry in sorted(self.path.iterdir(), key=lambda entry: (entry.name == _LOCK, entry.name == MARKER)):
            remove(entry)
        try:
            self.path.rmdir()
        except OSError as error:
            if not (self.path / _LOCK).exists():  # else another verb is making it again already
                evidence = f"{error.strerror}: {error.filename}"
                raise self._not_ours("the workspace could not be removed", evidence) from error

    def _clear_staging(self) -> None:
        """Remove what a killed run left staged, and end the processes that write there; the caller holds the lock."""
        # Before the processes end: what they create meanwhile is in a directory of this list.
        leftovers = list((self.path / "staging").glob("*"))
        if leftovers:
            end_processes(self.path / "staging")
        for leftover in leftovers:
            remove(leftover)

    @contextmanager
    def _creation_errors(self) -> Iterator[None]:
        """Turn OSError into ConfigError while the workspace is created."""
        try:
            yield
        except OSError as error:
            raise ConfigError(
                "cannot make the workspace",
                where=str(self.path),
                evidence=f"{error.strerror}: {error.filename}",
                fix="set `workspace` in the YAML to a path that you can write to, with space on it",
            ) from error

    def _fill(self) -> None:
        """Put in what is missing; the caller holds the lock."""
        if not self._check_marker(may_be_missing=True):
            self.path.chmod(0o700)
            marker = {"project": self.project, "tool": "tfs-workflow", "version": __version__}
            write_whole(self.path / MARKER, json.dumps(marker) + "\n", mode=0o600)
        for name, mode in _DIRECTORIES.items():
            (self.path / name).mkdir(exist_ok=True)
            (self.path / name).chmod(mode)

    def _check_directory(self) -> None:
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a directory"
            raise self._not_ours(f"the workspace is {kind}", stat.filemode(found.st_mode))
        if found.st_uid != os.geteuid():
            raise self._not_ours(
                "the workspace belongs to another user",
                f"owner uid {found.st_uid}, this process runs as {os.geteuid()}",
            )
        if found.st_mode & 0o022 and any(self.path.iterdir()):
            # Others may have put files there; where they could only read, the mode is corrected below.
            raise self._not_ours("other users can write to the workspace", f"mode {stat.filemode(found.st_mode)}")
        # Ours, but readable for others, as after a copy: only the mode is wrong.
        if found.st_mode & 0o077 and self._marker() is not None:
            self.path.chmod(0o700)

    def _check_marker(self, *, may_be_missing: bool = False) -> bool:
        """Whether it has our marker; ConfigError for another project's, and for none where one is required."""
        marker = self._marker()
        if marker is None:
            foreign = ", ".join(self._foreign()[:5])
            if foreign or not may_be_missing:
                evidence = f"no {MARKER} in it, but {foreign or 'nothing else either'}"
                raise self._not_ours("the workspace is a directory that setup did not make", evidence)
        elif marker.get("project") != self.project:
            evidence = f"{MARKER} names {marker.get('project')!r}, not {self.project!r}"
            raise self._not_ours("the workspace belongs to another project", evidence)
        return marker is not None

    def _not_ours(self, what: str, evidence: str) -> ConfigError:
        fix = "set `workspace` in the YAML to a path of its own, one that does not exist yet"
        return ConfigError(what, where=str(self.path), evidence=evidence, fix=fix)

    def _marker(self) -> dict[str, Any] | None:
        try:
            marker = json.loads((self.path / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._not_ours(f"{MARKER} cannot be read", str(error)) from error
        return marker if isinstance(marker, dict) else {}

    def _foreign(self) -> list[str]:
        return sorted(p.name for p in self.path.iterdir() if not _is_ours(p.name))

    def _prepare(self) -> None:
        """Make or check the directory before it is locked; ConfigError where it is gone or not this project's."""
        while True:
            if self._creates:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._check_directory()
                self._check_marker(may_be_missing=True)
            except FileNotFoundError as error:  # purged by another verb in this very moment
                if not self._creates:
                    raise ConfigError("the workspace is gone", where=str(self.path), fix="run setup again") from error
            else:
                return


def _is_ours(name: str) -> bool:
    """Whether the name is one of our own entries, or the temporary file of a killed write of one."""
    return name in _OURS or any(name.startswith(f".{ours}.") and name.endswith(".tmp") for ours in _OURS)


def _absolute(path: str | Path) -> Path:
    """The absolute path with its links: a workspace that is a link is rejected, not followed."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  # Path.resolve would follow links
