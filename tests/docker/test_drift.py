"""Drift that only an engine can bring about, restarts by its policy, and orphans among its containers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.support.command import CommandLine
from tests.support.faults import running, servers
from tests.support.modelserver import graphs
from tests.support.registry import random_image
from tests.support.waiting import until

REPLACES = "run tfs serve, which replaces the server"


@pytest.fixture
def tag(lab: CommandLine, image: str, engine: docker.DockerClient) -> str:
    """A tag of the project's own for the image under test; it may be moved."""
    reference = f"{lab.project}/server:moving"
    engine.images.get(image).tag(reference)
    lab.config["server"]["image"] = reference
    return reference


def drift(lab: CommandLine) -> list[tuple[str, str]]:
    return [(one["kind"], one["fix"]) for one in lab.ok_json("status")["drift"]]


@pytest.fixture
def moved(lab: CommandLine, tag: str, engine: docker.DockerClient) -> Iterator[Callable[[], str]]:
    """Moves the tag to an image made from the running server; the id of that image."""

    def move() -> str:
        container = engine.containers.get(lab.ok_json("status")["id"])
        return str(container.commit(repository=tag.partition(":")[0], tag="moving").id)

    yield move
    lab.ok("teardown")
    engine.images.remove(tag, force=True)


def image_of(lab: CommandLine, engine: docker.DockerClient) -> str:
    """The image that the server runs."""
    return str(engine.containers.get(lab.ok_json("status")["id"]).attrs["Image"])


def locked_digest(lab: CommandLine) -> str:
    return str(json.loads((lab.directory / "tfs.lock").read_text())["image_digest"])


def test_a_moved_tag_is_drift_that_serve_heals_by_following_it_in_the_lock_too(
    lab: CommandLine, tag: str, moved: Callable[[], str], engine: docker.DockerClient
) -> None:
    lab.ok("setup", "serve")
    assert drift(lab) == []
    new = moved()
    assert drift(lab) == [("image", REPLACES)]
    message = lab.run("serve").stderr
    assert f"{tag}: names {new[:19]} now" in message
    assert "replaced the running server" in message
    assert image_of(lab, engine) == locked_digest(lab) == new
    assert drift(lab) == []
    assert lab.ok_json("serve")["unchanged"] is True


def test_where_setup_was_locked_the_locked_image_runs_whatever_the_tag_names(
    lab: CommandLine, moved: Callable[[], str], engine: docker.DockerClient
) -> None:
    lab.ok("setup")
    locked = locked_digest(lab)
    lab.ok("setup", "--locked")
    lab.ok("serve")
    moved()
    assert drift(lab) == [("image", "run tfs setup serve")]
    assert lab.ok_json("serve")["unchanged"] is True
    lab.ok("teardown")
    lab.ok("serve")
    assert image_of(lab, engine) == locked_digest(lab) == locked
    assert "image digest" in lab.fails(7, "setup", "--locked")


def test_a_locked_image_that_is_gone_is_missing_though_its_tag_is_there(
    lab: CommandLine, tag: str, engine: docker.DockerClient
) -> None:
    engine.api.import_image_from_data(random_image(1000), repository=tag.partition(":")[0], tag="moving")
    recorded = str(engine.images.get(tag).id)
    lab.ok("setup")
    lab.ok("setup", "--locked")
    engine.images.remove(tag)
    engine.api.import_image_from_data(random_image(1000), repository=tag.partition(":")[0], tag="moving")
    try:
        message = lab.fails(3, "serve")
        assert "the image that setup recorded is not on the engine" in message
        assert recorded in message
    finally:
        engine.images.remove(tag)


def test_a_container_that_was_restarted_by_hand_is_kept_and_its_restart_shown(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    lab.ok("setup", "serve")
    assert lab.ok_json("status")["events"] == []
    engine.containers.get(lab.ok_json("status")["id"]).restart(timeout=1)
    until(lambda: lab.run("predict").returncode == 0)
    assert drift(lab) == []
    (event,) = lab.ok_json("status")["events"]
    assert "was restarted: last at" in event
    assert lab.ok_json("serve")["unchanged"] is True


def kill_from_within(engine: docker.DockerClient, container_id: str) -> None:
    """As a crash would: `docker kill` counts as the user's wish, after which no policy applies."""
    os.kill(engine.containers.get(container_id).attrs["State"]["Pid"], signal.SIGKILL)


def test_on_failure_the_engine_restarts_a_bounded_number_of_times(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    lab.ok("setup", "serve")
    container_id = lab.ok_json("status")["id"]
    policy = engine.containers.get(container_id).attrs["HostConfig"]["RestartPolicy"]
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 5}
    kill_from_within(engine, container_id)
    until(lambda: engine.containers.get(container_id).attrs["RestartCount"] == 1)
    until(lambda: lab.run("predict").returncode == 0)
    assert drift(lab) == []
    assert "event  container " in lab.ok("status")
    assert "1 times by the engine" in lab.ok("status")
    assert lab.ok_json("serve")["unchanged"] is True


def test_with_no_nothing_is_restarted(lab: CommandLine, engine: docker.DockerClient) -> None:
    lab.config["server"]["restart"] = "no"
    lab.ok("setup", "serve")
    container_id = lab.ok_json("status")["id"]
    assert engine.containers.get(container_id).attrs["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    kill_from_within(engine, container_id)
    until(lambda: not running(lab))
    assert engine.containers.get(container_id).attrs["RestartCount"] == 0


def dying(lab: CommandLine) -> Path:
    """A model in place with which a server dies as soon as it loads it."""
    lab.config["server"]["restart"] = "on-failure"
    base_path = graphs.refusing(lab.directory / "model" / "1").parent
    lab.config["models"]["half_plus_two"] = {"source": [{"directory": str(base_path)}]}
    return base_path


def test_a_start_that_dies_ends_the_waiting_at_once_with_its_diagnosis(lab: CommandLine) -> None:
    dying(lab)
    lab.ok("setup")
    message = lab.fails(5, "serve")
    assert "a computation that the model runs while it loads fails" in message
    assert "exit code 255" in message
    assert servers(lab) == []


def test_a_container_that_dies_in_a_loop_is_reported_with_its_diagnosis_and_replaced(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    lab.config["server"]["restart"] = "on-failure"
    lab.ok("setup", "serve")
    container_id = lab.ok_json("status")["id"]
    (lab.workspace / "serving" / "models.config").write_text("no configuration")
    kill_from_within(engine, container_id)
    until(lambda: engine.containers.get(container_id).attrs["RestartCount"] >= 2)
    message = lab.fails(5, "status")
    assert "the engine restarted it" in message
    assert "exit code" in message
    until(lambda: engine.containers.get(container_id).status == "exited")
    assert "the engine restarted it 5 times" in lab.fails(5, "status")
    assert lab.ok_json("serve")["id"] != container_id
    assert drift(lab) == []


def test_orphans_of_every_kind_are_listed_and_removed_and_what_lives_stays(
    lab: CommandLine, engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    lab.ok("setup", "serve")
    living = lab.ok_json("status")["id"]

    def made(name: str, **labels: str) -> str:
        own = {"tfs-workflow.project": lab.project, "tfs-workflow.workspace": str(lab.workspace)} | {
            f"tfs-workflow.{key}": value for key, value in labels.items()
        }
        return str(engine.containers.create(image, name=f"tfs-{lab.project}-{name}", labels=own).id)

    reasons = {
        made("previous"): "its replacement was cut short",
        made("ended"): "ended with exit code 0",
        made("lost", workspace=str(tmp_path / "nowhere")): "its workspace is gone",
        made("moved", project=f"{lab.project}-other"): "its workspace is not its project's any more",
    }
    foreign = made("foreign", workspace=str(tmp_path / "nowhere"), machine="another-host")
    words = ("teardown", "--orphans", "--projects", f"{lab.project}*")
    refused = lab.run(*words, "--json")
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    listed = {one["id"]: one["reason"] for one in json.loads(refused.stdout)["orphans"]}
    assert listed == reasons
    assert set(json.loads(lab.ok(*words, "--yes", "--json"))["removed"]) == set(reasons)
    assert json.loads(lab.ok(*words, "--json"))["orphans"] == []
    left = engine.containers.list(all=True, filters={"label": f"tfs-workflow.project={lab.project}"})
    assert {one.id for one in left} == {living, foreign}
    engine.containers.get(foreign).remove()
    lab.ok("predict")
