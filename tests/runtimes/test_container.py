"""The container's description is pure: hardened by default, opened only by the one key."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support import models
from tfs_workflow.runtimes.docker.container import base_path, creation, on_trial
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

SPEC = ServerSpec(
    project="lab",
    runtime="docker",
    models=(ModelSpec("m", Path("/lab/models/m")),),
    models_dir=Path("/lab/models"),
    image="tensorflow/serving:2.20.0",
    memory_bytes=1 << 30,
    cpus=1.5,
)


def described(spec: ServerSpec = SPEC, uid: int = 1000) -> dict[str, Any]:
    return creation(spec, Path("/lab/serving"), uid, 1000)


def test_the_container_has_the_least_privilege() -> None:
    arguments = described()
    assert arguments["cap_drop"] == ["ALL"]
    assert arguments["security_opt"] == ["no-new-privileges:true"]
    assert arguments["read_only"] is True
    assert arguments["pids_limit"] == 512
    assert arguments["user"] == "1000:1000"
    assert arguments["use_config_proxy"] is False
    assert arguments["environment"] == {}


def test_only_the_variables_of_the_yaml_reach_the_container() -> None:
    spec = replace(SPEC, environment=(("TF_ENABLE_ONEDNN_OPTS", "0"),))
    assert described(spec)["environment"] == {"TF_ENABLE_ONEDNN_OPTS": "0"}


def test_root_on_the_host_is_nobody_in_the_container() -> None:
    assert described(uid=0)["user"] == "65534:65534"


def mounts(spec: ServerSpec) -> dict[str, tuple[str, bool]]:
    return {m["Target"]: (m["Source"], m["ReadOnly"]) for m in described(spec)["mounts"]}


def test_models_and_configuration_are_mounted_read_only_as_directories() -> None:
    assert mounts(SPEC) == {"/etc/tfs-workflow": ("/lab/serving", True), "/models": ("/lab/models", True)}
    assert base_path(SPEC, SPEC.models[0]) == "/models/m"


def test_a_model_outside_the_workspace_has_a_mount_of_its_own(tmp_path: Path) -> None:
    base = models.good(tmp_path, "1", "2")
    linked = ModelSpec("linked", base, links=(("2", tmp_path / "elsewhere"),))
    spec = replace(SPEC, models=(*SPEC.models, ModelSpec("own", Path("/srv/own")), linked))
    own = mounts(spec).items() - mounts(SPEC).items()
    assert dict(own) == {
        "/own-models/own": ("/srv/own", True),
        "/own-models/linked/1": (str(base / "1"), True),
        "/own-models/linked/2": (str(tmp_path / "elsewhere"), True),
    }
    assert base_path(spec, spec.models[1]) == "/own-models/own"


def test_a_trial_has_another_name_and_free_ports_of_the_loopback_and_is_not_restarted() -> None:
    spec = replace(SPEC, restart="on-failure", expose=True)
    arguments = on_trial(described(spec), spec, Path("/lab"))
    assert arguments["name"] == "tfs-lab-trial"
    assert arguments["ports"] == {"8501/tcp": ("127.0.0.1", None), "8500/tcp": ("127.0.0.1", None)}
    assert arguments["restart_policy"] is None
    assert arguments["labels"]["tfs-workflow.workspace"] == "/lab"


def test_ports_are_published_on_loopback_and_only_expose_opens_them() -> None:
    assert described()["ports"] == {"8501/tcp": ("127.0.0.1", 8501), "8500/tcp": ("127.0.0.1", 8500)}
    assert described(replace(SPEC, expose=True))["ports"]["8501/tcp"] == ("0.0.0.0", 8501)


def test_auto_ports_are_left_to_the_engine() -> None:
    assert described(replace(SPEC, rest_port=0, grpc_port=0))["ports"]["8501/tcp"] == ("127.0.0.1", None)


def test_the_binary_runs_directly_under_an_init_and_bears_the_labels_from_birth() -> None:
    arguments = described()
    assert arguments["init"] is True
    assert arguments["entrypoint"] == ["/usr/bin/tensorflow_model_server"]
    assert arguments["labels"]["tfs-workflow.project"] == "lab"
    assert arguments["labels"]["tfs-workflow.spec"] == SPEC.digest()


def test_the_labels_say_which_workspace_on_which_machine_claims_it() -> None:
    labels = described()["labels"]
    assert labels["tfs-workflow.workspace"] == "/lab"
    assert labels["tfs-workflow.machine"] == socket.gethostname()


def test_the_engine_restarts_nothing_unless_asked_and_then_with_a_bound() -> None:
    assert described()["restart_policy"] is None
    policy = described(replace(SPEC, restart="on-failure"))["restart_policy"]
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 5}


def test_limits_come_in_the_engines_units() -> None:
    arguments = described()
    assert (arguments["mem_limit"], arguments["memswap_limit"], arguments["nano_cpus"]) == (1 << 30, 1 << 30, 1.5e9)
