"""The directory that `setup` makes: whose it is, who works in it now, and what it remembers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfs_workflow import __version__
from tfs_workflow.atomic import write_whole
from tfs_workflow.errors import ConfigError, WorkflowError

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
        workspace._make()
        return workspace

    @classmethod
    def open(cls, path: str | Path, project: str) -> Workspace | None:
        """The workspace that `create` made, None where there is nothing; ConfigError if it is not this project's."""
        workspace = cls(_absolute(path), project)
        if not os.path.lexists(workspace.path):
            return None
        workspace._check_directory()
        if workspace._marker() is None and not workspace._foreign():
            return None  # an empty directory, or a `create` that was killed before it wrote the marker
        workspace._check_marker()
        return workspace

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
            _remove(directory)

    @contextmanager
    def exclusive(self, on_wait: Callable[[int | None], None] | None = None, *, wait: bool = True) -> Iterator[None]:
        """Only one verb of a project at a time; the lock ends with the process, however that ends.

        `on_wait` is called once, with the holder's process id where it is known. Without `wait`, a taken lock is a
        WorkflowError. What killed runs left in `staging/` is removed. Not reentrant.
        """
        lock = self._locked(on_wait, wait)
        try:
            # Whoever holds the lock is alone: everything staged belongs to a run that was killed.
            for leftover in (self.path / "staging").iterdir():
                _remove(leftover)
            yield
        finally:
            os.close(lock)

    def recall(self, key: str) -> Any:
        """What was remembered under this key, or None; an unreadable state is the same as none."""
        with self._state_lock:
            return self._state().get(key)

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value for the verbs that follow; None forgets it."""
        with self._state_lock:
            state = self._state() | {key: value}
            kept = {name: item for name, item in state.items() if item is not None}
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
        # The marker goes last: a purge that is killed half way can be repeated.
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == MARKER):
            _remove(entry)
        try:
            self.path.rmdir()
        except OSError as error:
            raise self._not_ours("the workspace could not be removed", f"{error.strerror}: {error.filename}") from error

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_directory()
            if self._marker() is None:
                self._adopt()
            self._check_marker()
            for name, mode in _DIRECTORIES.items():
                (self.path / name).mkdir(exist_ok=True)
                (self.path / name).chmod(mode)
        except OSError as error:
            raise ConfigError(
                "cannot make the workspace",
                where=str(self.path),
                evidence=f"{error.strerror}: {error.filename}",
                fix="set `workspace` in the YAML to a path that you can write to, with space on it",
            ) from error

    def _adopt(self) -> None:
        """Put our marker into an empty directory; exactly one of several that try at the same time succeeds."""
        if foreign := self._foreign():
            raise ConfigError(
                "the workspace is a directory that setup did not make",
                where=str(self.path),
                evidence=f"no {MARKER} in it, but {', '.join(foreign[:5])}",
                fix="set `workspace` in the YAML to a path that does not exist yet",
            )
        self.path.chmod(0o700)
        marker = {"project": self.project, "tool": "tfs-workflow", "version": __version__}
        write_whole(self.path / MARKER, json.dumps(marker) + "\n", mode=0o600, replace=False)

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

    def _check_marker(self) -> None:
        marker = self._marker()
        if marker is None:
            raise self._not_ours("the workspace is a directory that setup did not make", f"no {MARKER} in it")
        if marker.get("project") != self.project:
            raise self._not_ours(
                "the workspace belongs to another project",
                f"{MARKER} names {marker.get('project')!r}, not {self.project!r}",
            )

    def _not_ours(self, what: str, evidence: str) -> ConfigError:
        fix = "set `workspace` in the YAML to another path, or remove this one by hand if nothing in it matters"
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

    def _locked(self, on_wait: Callable[[int | None], None] | None, wait: bool) -> int:
        while True:
            lock = self._open_lock()
            try:
                self._flock(lock, on_wait, wait)
                if _is(lock, self.path / _LOCK):
                    os.ftruncate(lock, 0)
                    os.pwrite(lock, str(os.getpid()).encode(), 0)
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # the holder purged the workspace while this process waited: begin again

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path / _LOCK, flags, 0o600)
        except FileNotFoundError as error:
            if not self._made_here:
                raise ConfigError("the workspace is gone", where=str(self.path), fix="run setup again") from error
        self._make()
        return self._open_lock()

    def _flock(self, lock: int, on_wait: Callable[[int | None], None] | None, wait: bool) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 32, 0)
            pid = int(holder) if holder.isdigit() else None
            if not wait:
                raise WorkflowError(
                    "another tfs-workflow verb of this project is running",
                    where=str(self.path),
                    evidence=f"pid {pid}" if pid else "its lock is held",
                    fix="wait until it is done",
                ) from error
            if on_wait is not None:
                on_wait(pid)
            fcntl.flock(lock, fcntl.LOCK_EX)


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


def _remove(path: Path) -> None:
    """Remove a file or a whole directory, never through a link; what another process removes meanwhile is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
