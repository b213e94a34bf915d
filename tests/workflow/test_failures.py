"""What failed is told afterwards, although the server is gone; on the embedded runtime, through the command line."""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.faults import kill, running, servers
from tests.support.modelserver import graphs
from tests.support.waiting import until


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


def served_from(lab: CommandLine, base_path: Path) -> None:
    lab.config["models"]["half_plus_two"] = {"source": [{"directory": str(base_path)}]}


def failed(lab: CommandLine) -> dict[str, object]:
    """The document of `doctor --after`, which must have found a failure."""
    done = lab.run("doctor", "--after", "--json")
    assert done.returncode == 5, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert found["failed"] is True
    return found


def test_nothing_failed_before_setup_nor_while_all_is_well(lab: CommandLine) -> None:
    assert lab.ok("doctor", "--after") == "nothing failed\n"
    lab.ok("setup", "serve")
    assert lab.ok_json("doctor", "--after") == {"failed": False}


def test_a_start_that_failed_is_explained_until_one_succeeds(lab: CommandLine) -> None:
    served_from(lab, graphs.refusing(lab.directory / "model" / "1").parent)
    lab.ok("setup")
    assert "a computation that the model runs while it loads fails" in lab.fails(5, "serve")
    found = failed(lab)
    assert (found["diagnosis"], found["runtime"], found["exit_code"]) == ("start-up-failed", "embedded", 255)
    assert "Input to reshape" in str(found["evidence"])
    shown = lab.run("doctor", "--after")
    assert shown.returncode == 5
    assert "embedded  exit code 255  start-up-failed" in shown.stdout
    assert "\n>> " in shown.stdout
    assert "next step: " in shown.stdout
    lab.config["models"]["half_plus_two"] = {"source": [{"bundled": "half_plus_two"}]}
    lab.ok("setup", "serve")
    assert lab.ok("doctor", "--after") == "nothing failed\n"


def test_a_failure_is_kept_for_its_owner_alone_replaced_by_the_next_and_purged(lab: CommandLine) -> None:
    served_from(lab, graphs.refusing(lab.directory / "model" / "1").parent)
    lab.ok("setup")
    lab.fails(5, "serve")
    kept = lab.workspace / "state.json"
    assert "failure" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    lab.config["server"]["flags"] = {"file_system_poll_wait_seconds": "often"}
    lab.fails(5, "serve")
    assert failed(lab)["diagnosis"] == "flag-refused"
    lab.ok("teardown")
    assert failed(lab)["diagnosis"] == "flag-refused"
    lab.ok("teardown", "--purge")
    assert not lab.workspace.exists()
    assert lab.ok("doctor", "--after") == "nothing failed\n"


def test_a_port_that_is_taken_is_a_failure_without_a_log(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    (server,) = servers(lab)
    other = CommandLine.in_directory(lab.directory, runtime="embedded")
    other.config |= {"workspace": str(lab.directory / "other")}
    other.config["server"]["rest_port"] = server.rest_port
    other.run("setup")
    message = other.run("serve").stderr
    assert "is taken by" in message
    found = failed(other)
    assert "is taken by" in str(found["what"])
    assert found["lines"] == []
    other.ok("teardown", "--purge")


def test_a_server_that_is_gone_is_vanished(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    kill(servers(lab)[0])
    until(lambda: not running(lab))
    assert failed(lab)["diagnosis"] == "vanished"
    lab.ok("teardown")
    assert lab.ok("doctor", "--after") == "nothing failed\n"


def test_logs_and_status_name_the_cause_of_a_version_that_ended(lab: CommandLine) -> None:
    base_path = models.good(lab.directory)
    served_from(lab, base_path)
    lab.config["models"]["half_plus_two"]["versions"] = "all"
    lab.ok("setup", "serve")
    # While it serves, since a start would refuse it.
    graphs.corrupt(base_path / "2")
    until(lambda: "saved-model-corrupt: " in lab.run("status").stdout)
    versions = lab.ok_json("status")["models"]["half_plus_two"]
    assert [(v["version"], v["diagnosis"]) for v in versions] == [(2, "saved-model-corrupt"), (1, "")]
    marked = [line for line in lab.ok("logs").splitlines() if line.startswith(">> ")]
    assert marked
    assert all("saved_model.pb as binary proto" in line for line in marked)
    lines = [json.loads(line) for line in lab.ok("logs", "--json").splitlines()]
    assert {line["diagnosis"] for line in lines} == {"", "saved-model-corrupt"}
    on_a_terminal = pexpect.run(shlex.join(lab.argv("logs")), env=os.environ | {"TERM": "xterm"}).decode()
    assert "\x1b[1;31m" in on_a_terminal
    assert ">> " not in on_a_terminal
    assert failed(lab)["diagnosis"] == "saved-model-corrupt"
