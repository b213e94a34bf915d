"""The directory that `setup` makes: whose it is, who works in it now, and what it remembers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfs_workflow import __version__
from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.state.atomic_file import write_errors, write_whole
from tfs_workflow.state.cleanup import end_processes, remove

MARKER = ".tfs-workflow.json"
_LOCK = ".lock"
_STATE = "state.json"
_DIRECTORIES = {"models": 0o755, "serving": 0o755, "run": 0o700, "staging": 0o700}
_OURS = {MARKER, _LOCK, _STATE, *_DIRECTORIES}


class Workspace:
    """One project's directory, mode 0700; made or checked by `create`, found again by `open`.

    `models/` and `serving/` are readable for everyone, so that a container's user can read them once they are
    mounted; on this machine the mode of the workspace itself protects them. Safe to share between threads.
    """

    def __init__(self, path: Path, project: str) -> None:
        self.path = path
        self.project = project
        self._state_lock = threading.Lock()
        self._made_here = False

    @classmethod
    def create(cls, path: str | Path, project: str) -> Workspace:
        """Make the directory, or take the one that is there if it is this project's; ConfigError if it is not."""
        workspace = cls(_absolute(path), project)
        workspace._made_here = True
        with workspace._making():
            try:
                lock = workspace._locked()
            except BlockingIOError:
                return workspace  # a verb is at it: `exclusive` sees to what is missing once that is done
            try:
                workspace._fill()
            finally:
                os.close(lock)
        return workspace

    @classmethod
    def open(cls, path: str | Path, project: str) -> Workspace | None:
        """The workspace that `create` made, None where there is nothing; ConfigError if it is not this project's."""
        workspace = cls(_absolute(path), project)
        try:
            workspace._check_directory()
            # Without a marker it is empty, or its making or its purging was cut short: nothing is set up.
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
        """A new directory on the same file system, gone at the end; what is worth keeping is renamed out of it."""
        directory = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.path / "staging"))
        try:
            yield directory
        finally:
            remove(directory)

    @contextmanager
    def exclusive(self, on_wait: Callable[[int | None], None] | None = None, *, wait: bool = True) -> Iterator[None]:
        """Only one verb of a project at a time; the lock ends with the process, however that ends.

        `on_wait` is called once, with the holder's process id where it is known. Without `wait`, a taken lock is a
        WorkflowError. What killed runs left in `staging/` is removed. Not reentrant.
        """
        lock = self._waited_for(on_wait) if wait else self._locked_at_once()
        try:
            self._clear_staging()
            if self._made_here:
                with self._making():
                    self._fill()  # again: a purge may have come between `create` and the lock
            yield
        finally:
            os.close(lock)

    def recall(self, key: str) -> Any:
        """What was remembered under this key, or None; an unreadable state is the same as none."""
        with self._state_lock:
            return self._state().get(key)

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value for the verbs that follow; None forgets it. ConfigError where it cannot be written."""
        with self._state_lock:
            state = self._state() | {key: value}
            kept = {name: item for name, item in state.items() if item is not None}
            with write_errors(self.path / _STATE):
                write_whole(self.path / _STATE, json.dumps(kept, indent=1, sort_keys=True) + "\n", mode=0o600)

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
        """Whoever holds the lock is alone: what is staged, and who works on it, is left from a run that was killed."""
        leftovers = list((self.path / "staging").glob("*"))
        if leftovers:
            end_processes(self.path / "staging")
        for leftover in leftovers:
            remove(leftover)

    @contextmanager
    def _making(self) -> Iterator[None]:
        """The system's errors while the workspace is made, as ours."""
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
            # Others may have put files there; reading alone is simply taken back below.
            raise self._not_ours("other users can write to the workspace", f"mode {stat.filemode(found.st_mode)}")
        if found.st_mode & 0o077 and self._marker() is not None:
            self.path.chmod(0o700)

    def _check_marker(self, *, may_be_missing: bool = False) -> bool:
        """Whether it bears our marker; ConfigError for another project's, and for none where one must be."""
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

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads((self.path / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _waited_for(self, on_wait: Callable[[int | None], None] | None) -> int:
        try:
            return self._locked()
        except BlockingIOError:
            if on_wait is not None:
                on_wait(self._holder())
            return self._locked(wait=True)

    def _locked_at_once(self) -> int:
        try:
            return self._locked()
        except BlockingIOError as error:
            raise WorkflowError(
                "another tfs-workflow verb of this project is running",
                where=str(self.path),
                evidence=f"pid {self._holder() or 'unknown'}",
                fix="wait until it is done",
            ) from error

    def _holder(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int((self.path / _LOCK).read_text())
        return None

    def _locked(self, *, wait: bool = False) -> int:
        """The open lock file, locked; without `wait`, BlockingIOError when another has it."""
        while True:
            lock = self._open_lock()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if _is(lock, self.path / _LOCK):
                    with contextlib.suppress(OSError):  # on a full disk it works without
                        os.ftruncate(lock, 0)
                        os.pwrite(lock, str(os.getpid()).encode(), 0)
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # its holder purged the workspace while this process waited: begin again

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            if self._made_here:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # purged by another verb in this very moment
                self._check_directory()
                self._check_marker(may_be_missing=True)
                return os.open(self.path / _LOCK, flags, 0o600)
            if not self._made_here:
                raise ConfigError("the workspace is gone", where=str(self.path), fix="run setup again")


def _is_ours(name: str) -> bool:
    """Whether we make an entry of this name: one of our own, or what a killed write of one left behind."""
    return name in _OURS or any(name.startswith(f".{ours}.") and name.endswith(".tmp") for ours in _OURS)


def _absolute(path: str | Path) -> Path:
    """Without resolving links: a workspace that is a link is refused, not followed."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  # Path.resolve would follow links


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
