"""What an engine's facts mean; the facts are injected where the hardware or a second machine is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.checks.findings import is_ok, one, statuses
from tfs_workflow.checks.docker_host import engine_findings, thread_limit, without_engine
from tfs_workflow.checks.finding import FindingStatus
from tfs_workflow.errors import ToolMissingError
from tfs_workflow.runtimes.docker.engine_info import EngineFacts, is_local
from tfs_workflow.runtimes.own_keys import is_official
from tfs_workflow.runtimes.spec_builder import fitting_pids

IMAGE = "tensorflow/serving:2.20.0"
GOOD = EngineFacts(
    address="unix:///var/run/docker.sock",
    origin="context default",
    local=True,
    version="28.0.0",
    architecture="amd64",
    memory_bytes=16 << 30,
    runtimes=("runc",),
    free_bytes=50 << 30,
)


def test_a_good_engine_with_injected_facts() -> None:
    found = list(engine_findings(replace(GOOD, rootless=True, podman=True), IMAGE))
    assert is_ok(found)
    assert "Podman 28.0.0 at unix:///var/run/docker.sock (context default, rootless)" in found[0].evidence


def test_a_remote_engine_with_injected_facts_fails_with_what_to_do() -> None:
    found = one(engine_findings(replace(GOOD, address="ssh://gpu-box", local=False), IMAGE), "engine: location")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 3)
    assert "another machine" in found.evidence
    assert "runtime: embedded" in found.fix


def test_a_remote_engine_with_injected_facts_needs_open_ports() -> None:
    elsewhere = replace(GOOD, address="tcp://10.0.0.2:2376", local=False)
    closed = one(engine_findings(elsewhere, IMAGE), "engine: location")
    assert closed.status is FindingStatus.FAILURE
    assert "server.expose: true" in closed.fix
    open_ports = one(engine_findings(elsewhere, IMAGE, expose=True), "engine: location")
    assert (open_ports.status, "copied to it" in open_ports.evidence) == (FindingStatus.OK, True)
    by_ssh = replace(elsewhere, address="ssh://gpu-box")
    assert one(engine_findings(by_ssh, IMAGE, expose=True), "engine: location").status is FindingStatus.FAILURE


def test_too_little_space_with_injected_facts_matters_only_while_the_image_is_not_there() -> None:
    small = replace(GOOD, free_bytes=300 << 20)
    assert statuses(engine_findings(small, IMAGE)) == {"engine: disk space": "warning"}
    assert is_ok(engine_findings(replace(small, image_architecture="amd64"), IMAGE))


def test_a_gpu_image_on_an_engine_without_a_gpu_with_injected_facts() -> None:
    image = IMAGE + "-gpu"
    nvidia = replace(GOOD, runtimes=("nvidia", "runc"))
    assert statuses(engine_findings(GOOD, image)) == {"engine: GPU": "failure"}
    assert statuses(engine_findings(replace(nvidia, default_runtime="runc"), image)) == {"engine: GPU": "warning"}
    assert is_ok(engine_findings(replace(nvidia, default_runtime="nvidia"), image))


def test_arm64_with_injected_facts_has_no_official_image_and_emulates_a_foreign_one() -> None:
    arm = replace(GOOD, architecture="arm64")
    assert "has no image for it" in one(engine_findings(arm, IMAGE), "engine: architecture").evidence
    emulated = one(engine_findings(replace(arm, image_architecture="amd64"), "own:1"), "engine: architecture")
    assert "emulated" in emulated.evidence
    assert is_ok(engine_findings(arm, "own:1"))


def test_no_engine_is_a_failure_only_for_who_insists_on_it() -> None:
    error = ToolMissingError("no Docker engine answers", fix="start Docker")
    assert without_engine(error, "docker").status is FindingStatus.FAILURE
    assert without_engine(error, "auto").status is FindingStatus.WARNING
    assert without_engine(error, "auto").fix == "start Docker"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("unix:///run/user/1000/podman/podman.sock", True),
        ("npipe:////./pipe/docker_engine", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2376", True),
        ("tcp://docker:2375", False),
        ("ssh://me@box", False),
    ],
)
def test_where_an_address_leads(address: str, local: bool) -> None:
    assert is_local(address) == local


@pytest.mark.parametrize(
    ("image", "official"),
    [
        (IMAGE, True),
        ("docker.io/tensorflow/serving", True),
        ("mirror.example:5000/tensorflow/serving:2.20.0-gpu", True),
        ("tensorflow/serving@sha256:00", True),
        ("mytensorflow/serving:1", False),
        ("tfs-workflow/model-server:latest", False),
    ],
)
def test_which_images_are_tensorflow_servings_own(image: str, official: bool) -> None:
    assert is_official(image) == official


@pytest.mark.parametrize(
    ("processors", "pids", "is_enough"),
    [(2, 512, True), (32, 512, True), (64, 512, False), (64, 1200, True), (0, 512, True)],
)
def test_a_limit_on_threads_that_is_too_small_for_the_engines_processors(
    processors: int, pids: int, is_enough: bool
) -> None:
    found = list(thread_limit(processors, pids))
    assert [one.status for one in found] == ([] if is_enough else [FindingStatus.WARNING])
    assert all("about 960 threads on 64 processors, 512 are allowed" in one.evidence for one in found)
    assert all("at least 960" in one.fix for one in found)


@pytest.mark.parametrize("processors", [0, 1, 2, 24, 40, 64, 128, 256])
def test_the_default_limit_is_enough_for_the_engines_processors(processors: int) -> None:
    assert list(thread_limit(processors, fitting_pids(processors))) == []
    assert fitting_pids(processors) >= 512
