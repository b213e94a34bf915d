"""`tfs setup` as users call it, against real git and web servers with faults in front of them."""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.sources.test_archive import tarred
from tests.support.archive_server import ArchiveServer
from tests.support.command import BUNDLED, CommandLine
from tests.support.git_server import MODEL_PATH, TAG, BareRepository, GitServer, model_files


@pytest.fixture
def lab(tmp_path: Path) -> CommandLine:
    directory = tmp_path / "lab"
    directory.mkdir()
    return CommandLine.in_directory(directory, runtime="embedded")


def take(lab: CommandLine, *sources: dict[str, Any]) -> None:
    lab.config["models"]["half_plus_two"]["source"] = list(sources)


@pytest.fixture
def source(git_server: GitServer, lab: CommandLine) -> dict[str, Any]:
    """The tutorial's source on the test server; it is the lab's only one."""
    found = {"git": f"{git_server.url}/serving.git", "ref": TAG, "path": MODEL_PATH}
    take(lab, found)
    return found


def left_behind(lab: CommandLine) -> list[str]:
    """What a setup that failed must not leave: anything but the bare workspace."""
    return [str(p.relative_to(lab.workspace)) for d in ("models", "staging") for p in (lab.workspace / d).rglob("*")]


def test_the_second_setup_asks_nobody_and_changes_no_byte(
    lab: CommandLine, source: dict[str, Any], git_server: GitServer
) -> None:
    lab.ok("setup")
    lock = (lab.directory / "tfs.lock").read_bytes()
    git_server.requests.clear()
    lab.ok("setup")
    assert git_server.requests == []
    assert (lab.directory / "tfs.lock").read_bytes() == lock


def test_several_models_are_fetched_in_one_go(
    lab: CommandLine, source: dict[str, Any], archive_server: ArchiveServer
) -> None:
    address, sha256 = archive_server.put("m.tar", tarred(model_files("m/")))
    lab.config["models"]["archived"] = {"source": [{"archive": address, "sha256": sha256}]}
    lab.ok("setup")
    for name in ("half_plus_two", "archived"):
        assert (lab.workspace / "models" / name / "00000123" / "saved_model.pb").is_file()


def test_a_model_may_be_named_like_a_step_of_setup(lab: CommandLine) -> None:
    lab.config["models"]["runtime"] = {"source": [BUNDLED]}
    found = lab.ok_json("setup")
    assert (set(found["models"]), found["runtime"]) == ({"half_plus_two", "runtime"}, "embedded")


def test_the_lock_names_commit_and_files_and_is_held_to(
    lab: CommandLine, source: dict[str, Any], git_server: GitServer
) -> None:
    source["ref"] = "master"
    repository = BareRepository(git_server.root / "serving.git")
    lab.ok("setup")
    locked = json.loads((lab.directory / "tfs.lock").read_text())["models"]["half_plus_two"]
    assert locked["commit"] == repository.git("rev-parse", "master")
    assert set(locked["files"]) == set(model_files())
    lab.ok("setup", "--locked")
    repository.commit({f"{MODEL_PATH}/00000123/assets/foo.txt": b"moved"})
    message = lab.fails(7, "setup", "--locked", "--update")
    assert locked["commit"] in message
    assert "00000123/assets/foo.txt" in message
    lab.ok("setup", "--locked")
    lab.ok("setup", "--update")
    assert json.loads((lab.directory / "tfs.lock").read_text())["models"]["half_plus_two"] != locked


def test_locked_without_a_lock_file_and_with_a_broken_one(lab: CommandLine, source: dict[str, Any]) -> None:
    assert "no lock file" in lab.fails(2, "setup", "--locked")
    (lab.directory / "tfs.lock").write_text("{")
    assert "malformed" in lab.fails(2, "setup", "--locked")


def test_offline(lab: CommandLine, source: dict[str, Any], git_server: GitServer) -> None:
    assert "offline" in lab.fails(7, "setup", "--offline")
    take(lab, source, BUNDLED)
    lab.ok("setup", "--offline")
    take(lab, source)
    lab.ok("setup")
    git_server.requests.clear()
    lab.ok("setup", "--offline")
    assert git_server.requests == []


def test_an_unreachable_source_moves_on_and_says_so(lab: CommandLine, source: dict[str, Any]) -> None:
    source["git"] = "http://127.0.0.1:1/serving.git"
    take(lab, source, BUNDLED)
    done = lab.run("setup")
    assert done.returncode == 0
    assert "falling back to bundled half_plus_two" in done.stderr
    assert "bundled half_plus_two" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ref": "2.20.1"}, f"there are: {TAG}"),
        ({"path": f"{MODEL_PATH}x"}, MODEL_PATH),
        ({"git": "http://127.0.0.1:1/x.git"}, "cannot be reached"),
    ],
)
def test_what_is_not_there_is_one_message(
    lab: CommandLine, source: dict[str, Any], change: dict[str, str], said: str
) -> None:
    source |= change
    assert said in lab.fails(7, "setup")
    assert left_behind(lab) == []


@pytest.mark.parametrize(
    "fault", [{"status": 401}, {"status": 403}, {"status": 500}, {"path": "POST", "cut_after_bytes": 300}]
)
def test_a_git_server_with_a_fault_and_then_without(
    lab: CommandLine, source: dict[str, Any], git_server: GitServer, fault: dict[str, Any]
) -> None:
    git_server.fail(**fault)
    lab.fails(7, "setup")
    assert left_behind(lab) == []
    git_server.faults.clear()
    lab.ok("setup")


def test_secrets_are_nowhere(lab: CommandLine, source: dict[str, Any], git_server: GitServer) -> None:
    git_server.credentials = "Basic " + base64.b64encode(b"me:s3cr3t").decode()
    source["git"] = source["git"].replace("http://", "http://me:s3cr3t@")
    done = lab.run("setup", "--verbose")
    assert done.returncode == 0, done.stderr
    source["ref"] = "nowhere"
    failed = lab.fails(7, "setup", "--verbose")
    written = [p.read_text(errors="replace") for p in lab.directory.rglob("*") if p.is_file() and p.name != "tfs.yaml"]
    assert not any("s3cr3t" in text for text in [done.stdout, done.stderr, failed, *written])


def test_no_space(lab: CommandLine, source: dict[str, Any], git_server: GitServer, small_disk: Path) -> None:
    BareRepository(git_server.root / "serving.git").commit({"big/1/saved_model.pb": bytes(range(256)) * 12_288})
    lab.config["workspace"] = str(small_disk / "workspace")
    source |= {"ref": "master", "path": "big"}
    assert "no space left" in lab.fails(7, "setup")
    source |= {"ref": TAG, "path": MODEL_PATH}
    lab.ok("setup")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_ended_in_the_middle_and_then_the_same_again(
    lab: CommandLine, source: dict[str, Any], git_server: GitServer, number: signal.Signals, exit_code: int
) -> None:
    git_server.fail(path="POST", silent_after_bytes=300)
    process = lab.start("setup")
    assert git_server.reached.wait(60)
    process.send_signal(number)
    _, message = process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert "Traceback" not in message
    assert not (lab.workspace / "models" / "half_plus_two").exists()
    if number != signal.SIGKILL:
        assert left_behind(lab) == []
    git_server.faults.clear()
    lab.ok("setup")
    assert list((lab.workspace / "staging").iterdir()) == []


def test_a_foreign_workspace(lab: CommandLine, source: dict[str, Any]) -> None:
    lab.workspace.mkdir()
    (lab.workspace / "thesis.tex").write_text("x")
    assert "thesis.tex" in lab.fails(2, "setup")
    assert [p.name for p in lab.workspace.iterdir()] == ["thesis.tex"]


def test_a_second_setup_waits_for_the_first(lab: CommandLine, source: dict[str, Any], git_server: GitServer) -> None:
    git_server.fail(path="POST", silent_after_bytes=300)
    first = lab.start("setup")
    assert git_server.reached.wait(60)
    second = lab.start("setup")
    assert second.stderr
    line = second.stderr.readline()
    assert "waiting for another verb" in line
    assert str(first.pid) in line
    git_server.faults.clear()
    first.kill()
    first.communicate()
    second.communicate(timeout=60)
    assert second.returncode == 0


def test_a_fall_back_for_want_of_an_engine_is_tried_again_once_one_listens(lab: CommandLine, tmp_path: Path) -> None:
    lab.config["runtime"] = "auto"
    place = tmp_path / "engine.sock"
    lab.environment["DOCKER_HOST"] = f"unix://{place}"
    first = lab.ok_json("setup")
    assert first["runtime"] == "embedded"
    assert "No such file" in first["reason"]
    assert lab.ok_json("setup")["reason"] == first["reason"]
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(place))
        engine.listen()
        threading.Thread(target=_hang_up, args=(engine,), daemon=True).start()
        assert "No such file" not in lab.ok_json("setup")["reason"]


def _hang_up(engine: socket.socket) -> None:
    """Answer no request: what listens is not an engine, and setup says what it is now."""
    with suppress(OSError):
        while True:
            engine.accept()[0].close()
