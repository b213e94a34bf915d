"""Fetching as `setup` does it: in order, once, offline, locked, at the same time, and killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.sources.conftest import NAME, Fetching
from tests.sources.test_archive import tarred
from tests.sources.test_git import content, repository
from tests.support.archive_server import ArchiveServer
from tests.support.faulty import FaultyServer
from tests.support.git_server import BUNDLED_MODEL, MODEL_PATH, ROOT, TAG, GitServer, model_files
from tfs_workflow.config.types import ArchiveSource, BundledSource, DirectorySource, GitSource
from tfs_workflow.errors import FetchFailedError, SourceUnreachableError
from tfs_workflow.sources.fetch import fetch, recorded
from tfs_workflow.state.fingerprints import digests, fingerprints
from tfs_workflow.state.project_state import open_state
from tfs_workflow.state.workspace import Workspace

Build = Callable[..., GitSource]
NOBODY = ArchiveSource(archive="http://127.0.0.1:1/model.tar", sha256="0" * 64)
KILLS = int(os.environ.get("TFS_TEST_KILLS", "12"))


@pytest.fixture
def model_directory(tmp_path: Path) -> Path:
    for name, text in model_files("model/").items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text or b"")
    return tmp_path / "model"


def test_the_next_source_is_taken_only_for_an_unreachable_one_and_it_is_said(
    fetching: Fetching, model_directory: Path
) -> None:
    found = fetching(NOBODY, DirectorySource(directory="model"))
    assert found.base_path == model_directory
    assert found.description == "directory model"
    assert "falling back to directory model" in fetching.notices[-1]
    assert "Connection refused" in found.fell_back[0]


def test_a_source_that_answers_with_no_does_not_move_on(
    fetching: Fetching, source: Build, model_directory: Path
) -> None:
    with pytest.raises(FetchFailedError, match="no branch"):
        fetching(source(ref="nowhere"), DirectorySource(directory="model"))


def test_with_every_source_unreachable_each_is_named_with_its_reason(fetching: Fetching) -> None:
    other = GitSource(git="http://127.0.0.1:1/x.git")
    with pytest.raises(SourceUnreachableError, match="no source can be reached") as failure:
        fetching(NOBODY, other)
    assert NOBODY.archive in failure.value.evidence
    assert other.git in failure.value.evidence


def test_the_second_fetch_asks_nobody(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    first = fetching(source())
    git_server.requests.clear()
    second = fetching(source())
    assert git_server.requests == []
    assert (first.fresh, second.fresh) == (True, False)
    assert second.files == first.files
    assert second.commit == first.commit


def test_a_fallback_is_remembered_with_its_reason(fetching: Fetching, source: Build, model_directory: Path) -> None:
    sources = (NOBODY, DirectorySource(directory="model"))
    first = fetching(*sources)
    fetching.pauses.clear()
    assert fetching(*sources).fell_back == first.fell_back
    assert fetching.pauses == []


def test_update_asks_again_and_takes_a_moved_branch(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    first = fetching(source(ref="master"))
    repository(git_server).commit({f"{MODEL_PATH}/00000124/saved_model.pb": b"new", "x": b"y"})
    assert fetching(source(ref="master")).commit == first.commit
    inode = (fetching.base_path / "00000123").stat().st_ino
    second = fetching(source(ref="master"), update=True)
    assert second.commit != first.commit
    assert "00000124/saved_model.pb" in second.files
    # A server may have the old version open: it stays as it is, and the new one appears beside it.
    assert (fetching.base_path / "00000123").stat().st_ino == inode
    assert not fetching(source(ref="master")).fresh


def test_update_replaces_what_changed_and_removes_what_went(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    fetching(source(ref="master"))
    gone = {f"{MODEL_PATH}/{name}": None for name in model_files()}
    repository(git_server).commit({**gone, f"{MODEL_PATH}/2/saved_model.pb": b"two"})
    assert content(fetching(source(ref="master"), update=True).base_path) == {"2/saved_model.pb": b"two"}
    repository(git_server).commit({f"{MODEL_PATH}/2/saved_model.pb": b"TWO"})
    assert content(fetching(source(ref="master"), update=True).base_path) == {"2/saved_model.pb": b"TWO"}


@pytest.mark.parametrize("harm", ["changed", "removed", "added", "emptied"])
def test_harmed_files_are_fetched_again(fetching: Fetching, source: Build, harm: str) -> None:
    version = fetching(source()).base_path / "00000123"
    if harm == "changed":
        (version / "saved_model.pb").write_bytes(b"x")
    elif harm == "removed":
        (version / "saved_model.pb").unlink()
    elif harm == "added":
        (version / "extra").write_bytes(b"x")
    else:
        (version / "saved_model.pb").unlink()
        (version / "saved_model.pb").touch()
    assert recorded(NAME, [source()], fetching.session, fetching.yaml_dir) is None
    assert content(fetching(source()).base_path) == model_files()


def test_another_source_is_fetched_although_the_files_are_there(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    fetching(source())
    git_server.requests.clear()
    assert fetching(source(ref="master")).fresh
    assert git_server.requests


def test_offline_uses_what_is_there_and_touches_no_network(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    fetching(source())
    git_server.requests.clear()
    assert content(fetching(source(), offline=True).base_path) == model_files()
    assert git_server.requests == []


def test_offline_falls_through_to_what_needs_no_network(
    fetching: Fetching, source: Build, git_server: GitServer, model_directory: Path
) -> None:
    found = fetching(source(), DirectorySource(directory="model"), offline=True)
    assert found.base_path == model_directory
    assert git_server.requests == []


def test_offline_with_nothing_there_says_so(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    with pytest.raises(FetchFailedError, match="offline"):
        fetching(source(), offline=True)
    with pytest.raises(FetchFailedError, match="no source can be reached") as failure:
        fetching(source(), NOBODY, offline=True)
    assert "offline" in failure.value.evidence
    assert git_server.requests == []


def test_a_lock_that_agrees_changes_nothing(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    first = fetching(source())
    assert fetching(source(), locked=first.locked).files == first.files
    (fetching.base_path / "00000123" / "saved_model.pb").unlink()
    assert fetching(source(), locked=first.locked).files == first.files


def test_a_moved_branch_is_refused_under_a_lock_and_nothing_is_replaced(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    first = fetching(source(ref="master"))
    repository(git_server).commit({f"{MODEL_PATH}/00000123/saved_model.pb": b"new"})
    with pytest.raises(FetchFailedError, match="not the one in the lock file") as failure:
        fetching(source(ref="master"), locked=first.locked, update=True)
    assert first.commit in failure.value.evidence
    assert "00000123/saved_model.pb" in failure.value.evidence
    assert content(fetching.base_path) == model_files()
    assert not fetching(source(ref="master")).fresh


def test_a_lock_refuses_what_lies_in_the_workspace_too(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    first = fetching(source())
    wrong = first.locked.model_copy(update={"files": {"00000123/saved_model.pb": "0" * 64}})
    for offline in (False, True):
        with pytest.raises(FetchFailedError, match="lock file"):
            fetching(source(), locked=wrong, offline=offline)


def test_a_fallback_is_another_source_under_a_lock(
    fetching: Fetching, source: Build, git_server: GitServer, model_directory: Path
) -> None:
    sources = (source(), DirectorySource(directory="model"))
    first = fetching(*sources)
    git_server.fail(status=500)
    with pytest.raises(FetchFailedError, match="lock file") as failure:
        fetching(*sources, locked=first.locked, update=True)
    assert "source: locked git" in failure.value.evidence


def test_a_changed_directory_is_refused_under_a_lock(fetching: Fetching, model_directory: Path) -> None:
    source = DirectorySource(directory="model")
    first = fetching(source)
    assert not fetching(source).fresh
    (model_directory / "00000123" / "saved_model.pb").write_bytes(b"other")
    with pytest.raises(FetchFailedError, match="lock file"):
        fetching(source, locked=first.locked)
    assert fetching(source).files != first.files


def test_a_directory_is_served_in_place_and_home_is_understood(
    fetching: Fetching, model_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(model_directory.parent))
    assert fetching(DirectorySource(directory="~/model")).base_path == model_directory
    assert not fetching.base_path.exists()


def test_only_the_versions_of_a_directory_count(fetching: Fetching, model_directory: Path) -> None:
    (model_directory / "checkpoints").mkdir()
    (model_directory / "checkpoints" / "x").write_bytes(b"x")
    source = DirectorySource(directory="model")
    assert set(fetching(source).files) == set(model_files())
    (model_directory / "checkpoints" / "x").write_bytes(b"y")
    assert not fetching(source).fresh


def test_links_in_a_directory_that_go_round_in_circles_end(fetching: Fetching, model_directory: Path) -> None:
    (model_directory / "00000123" / "up").symlink_to("..")
    (model_directory / "124").symlink_to("00000123")
    assert set(model_files()) <= set(fetching(DirectorySource(directory="model")).files)


@pytest.mark.parametrize("directory", ["nowhere", "model/00000123/saved_model.pb", "a\0b"])
def test_a_directory_that_is_not_there(fetching: Fetching, model_directory: Path, directory: str) -> None:
    with pytest.raises(FetchFailedError, match="cannot be read") as failure:
        fetching(DirectorySource(directory=directory))
    assert not isinstance(failure.value, SourceUnreachableError)


def test_the_bundled_model_is_copied(fetching: Fetching) -> None:
    if not BUNDLED_MODEL.is_dir():
        pytest.skip("the bundled model is not made yet: invoke dev.bundle")
    found = fetching(BundledSource(bundled="half_plus_two"), offline=True)
    assert content(found.base_path) == content(BUNDLED_MODEL)
    assert not fetching(BundledSource(bundled="half_plus_two")).fresh


def test_all_models_of_a_configuration_at_the_same_time(
    fetching: Fetching, source: Build, archive_server: ArchiveServer
) -> None:
    address, sha256 = archive_server.put("model.tar", tarred(model_files()))
    archive = ArchiveSource(archive=address, sha256=sha256)
    names = [f"model_{number}" for number in range(8)]

    def one(name: str) -> str:
        sources = [source() if int(name[-1]) % 2 else archive]
        return fetch(name, sources, fetching.session, fetching.yaml_dir).base_path.name

    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(one, names)) == names
    for name in names:
        assert content(fetching.workspace.models / name) == model_files()
        sources = [source() if int(name[-1]) % 2 else archive]
        assert recorded(name, sources, fetching.session, fetching.yaml_dir)


@contextmanager
def fetch_process(workspace: Path, source: GitSource | ArchiveSource) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.support.fetch_once", str(workspace), f"[{source.model_dump_json()}]"]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def processes_about(path: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(path) in word for word in process.info["cmdline"] or ()):
            found.append(process)
    return found


@pytest.fixture(params=["git", "archive"])
def silent_server(
    request: pytest.FixtureRequest, source: Build, git_server: GitServer, archive_server: ArchiveServer
) -> tuple[FaultyServer, GitSource | ArchiveSource]:
    """A server that stops in the middle of the model, and the source that leads there."""
    address, sha256 = archive_server.put("model.tar", tarred({**model_files(), "1/x": os.urandom(100_000)}))
    server = git_server if request.param == "git" else archive_server
    server.fail(path="POST|model.tar", silent_after_bytes=300)
    return server, source() if request.param == "git" else ArchiveSource(archive=address, sha256=sha256)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_fetch_ended_in_the_middle_leaves_nothing_and_the_next_succeeds(
    tmp_path: Path, silent_server: tuple[FaultyServer, GitSource | ArchiveSource], ending: signal.Signals
) -> None:
    server, one = silent_server
    path = tmp_path / "workspace"
    with fetch_process(path, one) as process:
        assert server.reached.wait(60)
        process.send_signal(ending)
        process.communicate(timeout=30)
        assert process.returncode != 0
    psutil.wait_procs(processes_about(path), timeout=10)
    assert processes_about(path) == []
    assert not (path / "models" / NAME).exists()
    server.faults.clear()
    with fetch_process(path, one) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert set(model_files()) <= set(json.loads(output.splitlines()[-1]))
    assert list((path / "staging").iterdir()) == []


def test_killed_at_random_moments_every_version_is_whole_and_the_next_run_succeeds(
    tmp_path: Path, source: Build, git_server: GitServer
) -> None:
    """Two commits change places, so that the kill also meets the replacing of files that are being served."""
    repository(git_server).commit({f"{MODEL_PATH}/00000123/saved_model.pb": b"other", f"{MODEL_PATH}/2/a": b"a"})
    path = tmp_path / "workspace"
    known: dict[str, dict[str, str]] = {}
    for ref in (TAG, "master"):
        with fetch_process(path, source(ref=ref)) as process:
            known[ref] = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
    whole = {
        name: {tuple(sorted(v for v in k.items() if v[0].startswith(f"{name}/"))) for k in known.values()}
        for name in ("00000123", "2")
    }
    chance = random.Random(7)
    workspace = Workspace.create(path, "test")
    for number in range(KILLS):
        ref = (TAG, "master")[number % 2]
        with fetch_process(path, source(ref=ref)) as process:
            assert process.stdout
            assert process.stdout.readline() == "fetching\n"
            time.sleep(chance.random() * 0.2)  # the moment of the kill: nothing is expected of it
            process.kill()
        for version in (path / "models" / NAME).iterdir():
            assert _digests(version) in whole[version.name]
        with workspace.exclusive(), open_state(workspace) as session:
            found = fetch(NAME, [source(ref=ref)], session, tmp_path)
            assert dict(found.files) == known[ref]
            assert list((path / "staging").iterdir()) == []


def _digests(version: Path) -> tuple[tuple[str, str], ...]:
    found = digests(fingerprints(version, {}))
    return tuple(sorted((f"{version.name}/{name}", digest) for name, digest in found.items()))
