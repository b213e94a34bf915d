"""Workspaces of an older and of a newer release, as the verbs meet them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import CommandLine


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    (line.workspace / "state.json").unlink(missing_ok=True)
    line.run("teardown", "--purge")


def rewrite(lab: CommandLine, document: Any) -> None:
    (lab.workspace / "state.json").write_text(json.dumps(document))


def test_a_workspace_of_the_first_format_serves_on_and_is_rewritten(lab: CommandLine) -> None:
    lab.ok("setup", "serve")
    server = lab.ok_json("status")["id"]
    now = json.loads((lab.workspace / "state.json").read_text())
    prepared = {key: value for key, value in now["setup"].items() if key != "runtime_inputs"}
    old = {"prepared": prepared | {"asked": now["setup"]["runtime_inputs"]}, "started": now["started"]}
    old |= {f"model.{name}": record for name, record in now["fetched"].items()} | {"served": now["served"]}
    rewrite(lab, old)
    assert lab.ok_json("status")["drift"] == []
    assert lab.ok_json("serve")["id"] == server
    assert lab.ok_json("setup")["models"]["half_plus_two"]["fresh"] is False
    lab.config["server"]["metrics"] = True
    assert lab.ok_json("serve")["switched"][0]["where"] == "server.metrics"
    assert json.loads((lab.workspace / "state.json").read_text()).keys() == now.keys()


@pytest.mark.parametrize("verb", ["setup", "serve", "status", "predict", "logs", "describe", "teardown"])
def test_a_workspace_of_a_newer_release_ends_every_verb_in_one_message(lab: CommandLine, verb: str) -> None:
    lab.ok("setup")
    rewrite(lab, {"format": 99, "started": ["embedded"]})
    message = lab.fails(2, verb)
    assert "was written by a newer release of tfs-workflow" in message
    assert "format 99" in message
    assert json.loads((lab.workspace / "state.json").read_text())["format"] == 99


def test_doctor_reports_a_workspace_of_a_newer_release(lab: CommandLine) -> None:
    lab.ok("setup")
    rewrite(lab, {"format": 99})
    done = lab.run("doctor", "--json")
    assert done.returncode == 2
    assert any("newer release" in one["evidence"] for one in json.loads(done.stdout)["findings"])


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_state_means_that_setup_must_run_again(lab: CommandLine, text: str) -> None:
    lab.ok("setup")
    (lab.workspace / "state.json").write_text(text)
    assert "not set up yet" in lab.fails(2, "serve", "--no-setup")
    lab.ok("serve")
