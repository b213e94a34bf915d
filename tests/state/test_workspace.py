"""The workspace: whose it is, one verb at a time, nothing foreign touched, nothing half-written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.waiting import until
from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.state.atomic_file import write_whole
from tfs_workflow.state.cleanup import STAGED_FOR
from tfs_workflow.state.project_state import ProjectState, read_state, write_state
from tfs_workflow.state.workspace import MARKER, Workspace

STATE = ProjectState(started=("docker",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_private_and_marked(path: Path) -> None:
    workspace = Workspace.create(path, "p")
    assert mode(path) == 0o700
    marker = json.loads((path / MARKER).read_text())
    assert (marker["project"], marker["tool"]) == ("p", "tfs-workflow")
    assert [d.is_dir() for d in (workspace.models, workspace.serving, workspace.run)] == [True] * 3


def test_what_is_mounted_is_readable_for_a_container_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        workspace = Workspace.create(path, "p")
    finally:
        os.umask(before)
    assert (mode(workspace.models), mode(workspace.serving)) == (0o755, 0o755)


def test_it_is_private_under_a_careless_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        write_state(Workspace.create(path, "p"), STATE)
    finally:
        os.umask(before)
    assert (mode(path), mode(path / "state.json"), mode(path / MARKER)) == (0o700, 0o600, 0o600)


def test_making_it_again_keeps_everything(path: Path) -> None:
    workspace = Workspace.create(path, "p")
    (workspace.models / "m").mkdir()
    write_state(workspace, STATE)
    again = Workspace.create(path, "p")
    assert read_state(again) == STATE
    assert (again.models / "m").is_dir()


def test_opening_finds_it_or_nothing(path: Path) -> None:
    assert Workspace.open(path, "p") is None
    path.mkdir()
    assert Workspace.open(path, "p") is None
    write_state(Workspace.create(path, "p"), STATE)
    found = Workspace.open(path, "p")
    assert found is not None
    assert read_state(found) == STATE


def test_an_empty_directory_is_taken(path: Path) -> None:
    path.mkdir(mode=0o775)
    path.chmod(0o775)
    Workspace.create(path, "p")
    assert mode(path) == 0o700


def test_a_create_that_was_killed_before_the_marker_is_taken_up(path: Path) -> None:
    path.mkdir(mode=0o700)
    (path / f".{MARKER}.999999999-1.tmp").write_text("{")
    Workspace.create(path, "p")
    assert sorted(p.name for p in path.iterdir()) == sorted([MARKER, ".lock", "models", "serving", "run", "staging"])


def refused(path: Path, project: str = "p") -> ConfigError:
    """Both ways in refuse it, and it is left as it was."""
    before = sorted(str(p) for p in path.rglob("*")) if path.is_dir() else []
    with pytest.raises(ConfigError) as opened:
        Workspace.open(path, project)
    with pytest.raises(ConfigError) as created:
        Workspace.create(path, project)
    assert (sorted(str(p) for p in path.rglob("*")) if path.is_dir() else []) == before
    assert opened.value.where == created.value.where == str(path)
    assert created.value.fix
    assert created.value.evidence
    return created.value


def test_a_directory_with_foreign_files_is_refused(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("x")
    assert "thesis.tex" in refused(path).evidence


def test_another_projects_workspace_is_refused(path: Path) -> None:
    Workspace.create(path, "other")
    assert "'other'" in refused(path).evidence


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\xff"])
def test_a_marker_that_is_none_is_refused(path: Path, text: str) -> None:
    Workspace.create(path, "p")
    (path / MARKER).write_text(text, encoding="latin-1")
    refused(path)


def test_a_link_is_refused_even_to_our_own(path: Path, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "real", "p")
    path.symlink_to(tmp_path / "real")
    assert "symbolic link" in refused(path).what


def test_a_file_is_refused(path: Path) -> None:
    path.write_text("x")
    with pytest.raises(ConfigError):
        Workspace.create(path, "p")
    with pytest.raises(ConfigError, match="not a directory"):
        Workspace.open(path, "p")
    assert path.read_text() == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_workspace_is_refused(path: Path) -> None:
    Workspace.create(path, "p")
    os.chown(path, 12345, 12345)
    assert "uid 12345" in refused(path).evidence


def test_one_that_others_may_read_is_closed_again(path: Path) -> None:
    Workspace.create(path, "p")
    path.chmod(0o755)
    Workspace.open(path, "p")
    assert mode(path) == 0o700


def test_one_that_others_may_write_to_is_refused(path: Path) -> None:
    Workspace.create(path, "p")
    path.chmod(0o777)
    assert "other users can write" in refused(path).what


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "read-only"
    directory.mkdir()
    if os.geteuid() == 0:
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(directory)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no read-only file system can be mounted here: {mounted.stderr.strip()}")
        yield directory
        subprocess.run(["umount", str(directory)], check=True)
    else:
        directory.chmod(0o500)
        yield directory
        directory.chmod(0o700)


def test_a_read_only_parent_is_named(read_only: Path) -> None:
    with pytest.raises(ConfigError, match="cannot make the workspace") as failure:
        Workspace.create(read_only / "deep" / "workspace", "p")
    assert "Read-only file system" in failure.value.evidence or "Permission denied" in failure.value.evidence
    assert "workspace" in failure.value.fix


def test_home_is_understood_and_a_relative_path_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Workspace.create("~/a", "p").path == tmp_path / "a"
    assert Workspace.create("b", "p").path == tmp_path / "b"


def test_many_at_the_same_time_make_one(path: Path) -> None:
    def attempt(number: int) -> str:
        try:
            workspace = Workspace.create(path, f"p{number % 4}")
            with workspace.exclusive():
                return workspace.project
        except ConfigError:
            return ""

    with ThreadPoolExecutor(16) as pool:
        winners = set(pool.map(attempt, range(64))) - {""}
    assert winners == {json.loads((path / MARKER).read_text())["project"]}


def test_a_staged_directory_goes_whatever_happens(path: Path) -> None:
    workspace = Workspace.create(path, "p")
    with pytest.raises(ZeroDivisionError), workspace.staged("m") as staging:
        (staging / "sub" / str(1 // 0)).mkdir()
    assert list((path / "staging").iterdir()) == []


HOLDER = """
import sys
from tfs_workflow.state.cleanup import STAGED_FOR
from tfs_workflow.state.workspace import Workspace
with Workspace.create(sys.argv[1], "p").exclusive():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until a line is written to it, or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_verb_waits_and_says_for_whom(path: Path, holder: subprocess.Popen[str]) -> None:
    said: list[int | None] = []

    def release(pid: int | None) -> None:
        said.append(pid)
        assert holder.stdin
        holder.stdin.write("\n")
        holder.stdin.flush()

    with Workspace.create(path, "p").exclusive(release):
        assert (path / ".lock").read_text() == str(os.getpid())
    assert said == [holder.pid]


def test_a_second_verb_that_will_not_wait_is_told(path: Path, holder: subprocess.Popen[str]) -> None:
    workspace = Workspace.create(path, "p")
    with pytest.raises(WorkflowError, match="another tfs-workflow verb") as failure, workspace.exclusive(wait=False):
        pass
    assert str(holder.pid) in failure.value.evidence


def test_kill_9_releases_the_lock_and_what_was_staged_goes(path: Path, holder: subprocess.Popen[str]) -> None:
    workspace = Workspace.create(path, "p")
    (path / "staging" / "m-1" / "sub").mkdir(parents=True)
    holder.kill()
    holder.wait()
    with workspace.exclusive(wait=False):
        assert list((path / "staging").iterdir()) == []


def test_what_a_killed_run_had_started_is_ended_before_its_files_are_removed(path: Path) -> None:
    staging = Workspace.create(path, "p").path / "staging"
    (staging / "m-1").mkdir()
    orphans = {
        where: subprocess.Popen(["sleep", "300"], env=os.environ | {STAGED_FOR: str(where)}, start_new_session=True)
        for where in (staging / "m-1" / "git", path.parent / "other" / "staging" / "m-1")
    }
    try:
        with Workspace.create(path, "p").exclusive():
            assert [process.poll() is None for process in orphans.values()] == [False, True]
            assert list(staging.iterdir()) == []
    finally:
        for process in orphans.values():
            process.kill()
            process.wait()


def test_a_verb_that_waits_while_the_workspace_is_purged_makes_it_again(path: Path) -> None:
    first, second = Workspace.create(path, "p"), Workspace.create(path, "p")
    waiting = threading.Event()
    held: list[bool] = []

    def wait() -> None:
        with second.exclusive(lambda pid: waiting.set()):
            held.append((path / MARKER).exists() and second.models.is_dir())

    thread = threading.Thread(target=wait)
    with first.exclusive():
        thread.start()
        assert waiting.wait(30)
        first.purge()
    thread.join(30)
    assert held == [True]


def test_a_verb_that_needs_the_set_up_is_told_when_it_was_purged(path: Path) -> None:
    Workspace.create(path, "p")
    opened = Workspace.open(path, "p")
    assert opened is not None
    opened.purge()
    with pytest.raises(ConfigError, match="gone"), opened.exclusive():
        pass
    assert not path.exists()


def test_only_one_at_a_time(path: Path) -> None:
    def enter(_: int) -> None:
        workspace = Workspace.create(path, "p")
        with workspace.exclusive():
            (workspace.run / "alone").touch(exist_ok=False)
            (workspace.run / "alone").unlink()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(200)))


def test_purge_removes_everything_of_ours(path: Path) -> None:
    workspace = Workspace.create(path, "p")
    write_state(workspace, STATE)
    (workspace.models / "m" / "1").mkdir(parents=True)
    (path / ".state.json.999999999-1.tmp").write_text("{")
    with workspace.exclusive():
        workspace.purge()
    assert not path.exists()
    workspace.purge()


def test_purge_follows_no_link_out(path: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    workspace = Workspace.create(path, "p")
    (workspace.models / "link").symlink_to(outside)
    workspace.run.rmdir()
    workspace.run.symlink_to(outside)
    workspace.purge()
    assert not path.exists()
    assert (outside / "precious").read_text() == "x"


def test_purge_removes_nothing_when_there_is_something_foreign(path: Path) -> None:
    workspace = Workspace.create(path, "p")
    (workspace.models / "m").mkdir()
    (path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match="nothing was removed") as failure:
        workspace.purge()
    assert "notes.txt" in failure.value.evidence
    assert (workspace.models / "m").is_dir()


def test_purge_refuses_what_is_not_ours(path: Path) -> None:
    path.mkdir(mode=0o700)
    (path / "precious").write_text("x")
    with pytest.raises(ConfigError):
        Workspace(path, "p").purge()
    assert (path / "precious").exists()


def test_a_purge_that_was_killed_half_way_can_be_repeated(path: Path) -> None:
    Workspace.create(path, "p")
    (path / "models").rmdir()
    (path / "staging").rmdir()
    opened = Workspace.open(path, "p")
    assert opened is not None
    with opened.exclusive():
        opened.purge()
    assert not path.exists()


def test_set_up_and_purge_at_the_same_time_never_meet_halfway(path: Path) -> None:
    def set_up(number: int) -> None:
        workspace = Workspace.create(path, "p")
        with workspace.exclusive():
            (workspace.models / "m").mkdir(exist_ok=True)
            state = ProjectState(started=(str(number),))
            write_state(workspace, state)
            assert read_state(workspace) == state

    def purge(_: int) -> None:
        if workspace := Workspace.open(path, "p"):
            with suppress(ConfigError), workspace.exclusive():
                workspace.purge()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (purge if n % 3 == 0 else set_up)(n), range(600)))


WRITER = """
import sys
from pathlib import Path
from tfs_workflow.state.atomic_file import write_whole
print("writing", flush=True)
number = 0
while True:
    number += 1
    write_whole(Path(sys.argv[1]), f"{number}\\n" * 20_000)
"""


def test_a_file_is_whole_at_every_moment_and_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("0\n" * 20_000)
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    seen: set[str] = set()

    def changed_often() -> bool:
        lines = path.read_text().splitlines()
        assert len(lines) == 20_000
        seen.update(lines)
        return len(seen) > 20

    until(changed_often, process)
    process.kill()
    process.communicate()
    assert len(set(path.read_text().splitlines())) == 1
    write_whole(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
