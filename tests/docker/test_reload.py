"""Changes without an outage on a container, and replacements that are tried beside the running one."""

from __future__ import annotations

import json
from pathlib import Path

import docker

from tests.support import models
from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.faults import servers
from tests.support.load import load_on
from tests.support.reloads import LATEST, Reloads, archived, reload
from tests.support.waiting import until


class TestDockerReloads(Reloads):
    """A container that mounts the workspace's models whole."""


def test_a_container_that_is_started_again_has_what_was_reloaded(lab: CommandLine, engine: docker.DockerClient) -> None:
    # No label in the first configuration, so that the flag which allows one there must have been given without need.
    (lab.directory / "two").mkdir()
    model = lab.config["models"]["half_plus_two"]
    model |= {"source": archived(lab.directory / "two", "1", "2"), "versions": "all"}
    lab.ok("setup", "serve")
    model["labels"] = {"stable": 1}
    reload(lab)
    engine.containers.get(lab.ok_json("status")["id"]).restart(timeout=1)
    until(lambda: lab.run("predict", "--label", "stable").returncode == 0)


def test_a_model_outside_the_workspace_needs_a_new_container_and_says_so(lab: CommandLine, tmp_path: Path) -> None:
    lab.ok("setup", "serve")
    (tmp_path / "outside").mkdir()
    outside = models.good(tmp_path / "outside", "1")
    example = lab.config["models"]["half_plus_two"]["example"]
    source = [{"directory": str(outside)}]
    lab.config["models"]["outside"] = {"source": source, "labels": {"stable": 1}, "example": example}
    lab.ok("setup")
    reasons = lab.ok_json("serve", "--dry-run")["reasons"]
    assert any("only a new container can mount it" in reason["evidence"] for reason in reasons)
    document = lab.ok_json("serve")
    assert (bool(document["replaced"]), document["reloaded"]) == (True, [])
    assert json.loads(lab.ok("predict", "--model", "outside", "--label", "stable")) == [2.5, 3.0, 4.5]
    # What only moves within it is a reload.
    lab.config["models"]["outside"]["labels"] = {}
    reload(lab)


def test_a_replacement_that_fails_is_not_felt_and_one_that_works_states_its_gap(lab: CommandLine) -> None:
    lab.ok("setup")
    before = lab.ok_json("serve")
    lab.config["server"] |= {"flags": NEVER_READY, "ready_timeout_s": 2.0}
    with load_on(before["rest_url"], LATEST) as load:
        assert "the former server was not stopped" in lab.fails(5, "serve")
    assert load.failures == []
    assert [server.id for server in servers(lab)] == [before["id"]]
    del lab.config["server"]["flags"], lab.config["server"]["ready_timeout_s"]
    lab.config["server"]["metrics"] = True
    after = lab.ok_json("serve")
    assert after["rest_url"] == before["rest_url"]
    assert after["seconds_without_answers"] > 0
    assert [server.id for server in servers(lab)] == [after["id"]]
    assert list((lab.workspace / "staging").iterdir()) == []


def test_a_trial_that_a_killed_serve_left_serves_nobody_and_is_removed(lab: CommandLine) -> None:
    lab.ok("setup")
    before = lab.ok_json("serve")
    lab.config["server"]["flags"] = NEVER_READY
    process = lab.start("serve")
    until(lambda: any(server.on_trial and server.exit_code is None for server in servers(lab)), process)
    process.kill()
    process.communicate(timeout=30)
    del lab.config["server"]["flags"]
    assert lab.ok_json("status")["id"] == before["id"]
    assert lab.ok_json("serve")["unchanged"] is True
    assert [server.id for server in servers(lab)] == [before["id"]]
