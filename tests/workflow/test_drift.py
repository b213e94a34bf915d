"""Drift between what runs and what was asked: status names it with its fix, serve heals it and says why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import models
from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.waiting import until
from tfs_workflow.client.interface import State, VersionStatus
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.inspect_server import ProjectStatus, raise_unless_served


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


def served_in_place(lab: CommandLine, *versions: str) -> Path:
    """Serve a directory of the user's own."""
    base_path = models.good(lab.directory, *versions)
    (base_path / "1" / "words.txt").write_text("words")
    lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(base_path)}]
    lab.ok("setup", "serve")
    return base_path


def drift(lab: CommandLine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.ok_json("status")["drift"]
    return found


def healed(lab: CommandLine, *words: str) -> str:
    """Run serve, which must replace the server or its engine and say why; then nothing drifts and serve is a no-op."""
    before = lab.ok_json("status")["id"]
    done = lab.run(*(words or ("serve",)))
    assert done.returncode == 0, done.stderr
    is_switched = "loaded beside the running engine, no request was lost: " in done.stderr
    assert is_switched or "replaced the running server: " in done.stderr
    assert (lab.ok_json("status")["id"] == before) is is_switched
    assert drift(lab) == []
    assert lab.ok_json("serve")["unchanged"] is True
    return done.stderr


def test_nothing_drifts_after_serve_nor_when_files_were_only_touched(lab: CommandLine) -> None:
    base_path = served_in_place(lab)
    assert drift(lab) == []
    os.utime(base_path / "1" / "saved_model.pb", ns=(0, 0))
    assert drift(lab) == []
    assert lab.ok_json("serve")["unchanged"] is True


def test_a_changed_yaml_is_named_by_its_keys(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    lab.config["server"]["metrics"] = True
    lab.config["models"]["half_plus_two"]["labels"] = {"stable": 123}
    found = {one["where"]: one for one in drift(lab)}
    assert set(found) == {"server.metrics", "models.half_plus_two"}
    assert found["server.metrics"]["kind"] == "configuration"
    assert found["server.metrics"]["evidence"] == "was false, is true"
    assert found["server.metrics"]["fix"] == "run tfs serve, which loads it beside the running one; no request is lost"
    assert "drift  configuration: server.metrics: was false, is true; run tfs serve" in lab.ok("status")
    assert "server.metrics: was false, is true" in healed(lab)


def test_a_model_that_setup_has_not_seen_needs_setup(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(models.good(lab.directory))}]
    (found,) = drift(lab)
    assert (found["kind"], found["fix"]) == ("configuration", "run tfs setup serve")
    healed(lab, "setup", "serve")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda version: (version / "new.txt").write_text("x"), "1/new.txt is new"),
        (lambda version: (version / "words.txt").write_text("other"), "1/words.txt changed"),
        (lambda version: (version / "words.txt").write_text("three"), "1/words.txt changed"),
        (lambda version: (version / "words.txt").unlink(), "1/words.txt is gone"),
    ],
    ids=["new", "of another size", "of the same size", "gone"],
)
def test_files_that_changed_below_a_running_server(lab: CommandLine, change: Any, said: str) -> None:
    base_path = served_in_place(lab)
    change(base_path / "1")
    (found,) = drift(lab)
    assert (found["kind"], found["where"], found["evidence"]) == ("model files", "models.half_plus_two", said)
    assert said in healed(lab)


def test_files_that_are_broken_now_leave_the_old_server_and_mended_ones_are_no_drift(lab: CommandLine) -> None:
    saved_model = served_in_place(lab) / "1" / "saved_model.pb"
    good = saved_model.read_bytes()
    saved_model.write_bytes(b"\xff\xff")
    assert [one["kind"] for one in drift(lab)] == ["model files"]
    lab.fails(4, "serve")
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
    saved_model.write_bytes(good)
    assert drift(lab) == []


def test_a_version_that_is_published_later_is_the_servers_own_to_find(lab: CommandLine) -> None:
    base_path = served_in_place(lab)
    models.good(lab.directory / "next", "2")
    (lab.directory / "next" / "model" / "2").rename(base_path / "2")
    until(lambda: [v["version"] for v in available(lab)] == [2])
    assert drift(lab) == []


def test_a_version_that_the_server_found_itself_is_recorded_by_the_next_serve(lab: CommandLine) -> None:
    base_path = served_in_place(lab)
    models.good(lab.directory / "next", "2")
    (lab.directory / "next" / "model" / "2").rename(base_path / "2")
    assert lab.ok_json("serve")["unchanged"] is True
    (base_path / "2" / "words.txt").write_text("new")
    assert [one["evidence"] for one in drift(lab)] == ["2/words.txt is new"]
    healed(lab)


def available(lab: CommandLine) -> list[dict[str, Any]]:
    versions = lab.ok_json("status")["models"]["half_plus_two"]
    return [version for version in versions if version["state"] == "AVAILABLE"]


def test_a_version_that_ended_is_drift_until_it_is_mended(lab: CommandLine) -> None:
    base_path = served_in_place(lab)
    broken = models.good(lab.directory / "next", "2") / "2"
    good = (broken / "saved_model.pb").read_bytes()
    (broken / "saved_model.pb").write_bytes(b"\xff\xff")
    broken.rename(base_path / "2")
    until(lambda: [one["kind"] for one in drift(lab)] == ["version"])
    (found,) = drift(lab)
    assert found["where"] == "models.half_plus_two v2"
    assert "fix or remove that version" in found["fix"]
    lab.fails(4, "serve")
    assert [v["version"] for v in available(lab)] == [1]
    (base_path / "2" / "saved_model.pb").write_bytes(good)
    assert "v2: ended" in healed(lab)
    assert [v["version"] for v in available(lab)] == [2]


def test_status_is_not_ready_when_a_model_has_no_version_left_and_ready_when_one_is_not_served_yet() -> None:
    server = ModelServer("embedded", "1", "p", "d", 1, 2, datetime.now(timezone.utc))
    ended, loaded = VersionStatus(1, State.END, "INTERNAL", "no"), VersionStatus(2, State.AVAILABLE)
    raise_unless_served(ProjectStatus(server, {"m": [ended, loaded], "new": []}, ()))
    with pytest.raises(ServerNotReadyError, match="no version is AVAILABLE of m"):
        raise_unless_served(ProjectStatus(server, {"m": [ended], "other": [loaded]}, ()))


def test_a_rolled_back_replacement_is_no_drift(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    lab.config["server"] |= {"flags": NEVER_READY, "ready_timeout_s": 1.0}
    lab.fails(5, "serve")
    del lab.config["server"]["flags"], lab.config["server"]["ready_timeout_s"]
    until(lambda: lab.run("predict").returncode == 0)
    assert drift(lab) == []


def test_what_is_remembered_of_an_older_version_is_no_obstacle(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    state = json.loads((lab.workspace / "state.json").read_text())
    (lab.workspace / "state.json").write_text(json.dumps(state | {"served": {"server": "of long ago"}}))
    assert drift(lab) == []
    lab.config["server"]["metrics"] = True
    assert [one["where"] for one in drift(lab)] == ["the YAML"]
    healed(lab)


@pytest.mark.parametrize("written", ["no", False])
def test_restart_is_off_however_yaml_reads_the_word(lab: CommandLine, written: object) -> None:
    lab.config["server"]["restart"] = written
    lab.ok("config.check")


def test_restart_takes_the_documented_words_only_and_has_no_effect_without_a_container(lab: CommandLine) -> None:
    lab.config["server"]["restart"] = "always"
    assert "server.restart: expected no or on-failure, got 'always'" in lab.fails(2, "config.check")
    lab.config["server"]["restart"] = "on-failure"
    findings = lab.run("doctor", "--json").stdout
    (found,) = [one for one in json.loads(findings)["findings"] if one["check"] == "configuration: server.restart"]
    assert found["status"] == "warning"
    assert "has no effect with runtime: embedded" in found["evidence"]


def test_a_variable_of_the_server_reaches_it_and_a_changed_one_is_drift_without_its_value(lab: CommandLine) -> None:
    lab.config["server"]["environment"] = {"TF_ENABLE_ONEDNN_OPTS": 0, "TOKEN": "first secret"}
    lab.ok("setup", "serve")
    environment = psutil.Process(int(lab.ok_json("status")["id"])).environ()
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert environment["TOKEN"] == "first secret"
    lab.config["server"]["environment"] = {"TF_ENABLE_ONEDNN_OPTS": 0, "TOKEN": "second secret"}
    (found,) = drift(lab)
    assert found["where"] == "server.environment.TOKEN"
    assert "secret" not in found["evidence"]
    healed(lab)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("MODEL_NAME", "has no effect here; use the key models"),
        ("TFS_WORKFLOW_PROJECT", "set by this tool"),
        ("no-name", "expected the name of an environment variable"),
    ],
)
def test_a_variable_that_is_ours_is_refused(lab: CommandLine, name: str, problem: str) -> None:
    lab.config["server"]["environment"] = {name: "x"}
    assert problem in lab.fails(2, "config.check")
