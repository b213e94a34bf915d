"""The Compose file has every right and every limit of the container that serve creates, since it is made from it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tfs_workflow.runtimes.docker.compose import LEFT_OUT, SERVICE, compose_document
from tfs_workflow.runtimes.docker.container import creation
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

SPEC = ServerSpec(
    project="My.lab",
    runtime="docker",
    models=(ModelSpec("m", Path("/srv/models$1/m")),),
    models_dir=Path("/srv/models$1"),
    image="tensorflow/serving:2.20.0",
    memory_bytes=1 << 30,
    cpus=1.5,
    restart="on-failure",
    batching=(("max_batch_size", 64),),
    stop_timeout_s=7,
    environment=(("TF_CPP_MIN_LOG_LEVEL", "1$"),),
)


def service(spec: ServerSpec = SPEC) -> dict[str, Any]:
    found: dict[str, Any] = compose_document(spec, 1000, 1000)["services"][SERVICE]
    return found


def test_the_hardening_of_the_container_is_in_the_file() -> None:
    container = creation(SPEC, Path("/lab/serving"), 1000, 1000)
    for key in ("user", "cap_drop", "security_opt", "read_only", "pids_limit", "mem_limit", "memswap_limit", "init"):
        assert service()[key] == container[key]
    assert service()["tmpfs"] == ["/tmp:rw,nosuid,nodev,size=256m"]
    assert service()["cpus"] == 1.5
    assert service()["environment"] == {"TF_CPP_MIN_LOG_LEVEL": "1$$"}
    assert service()["restart"] == "on-failure:5"
    assert service()["stop_grace_period"] == "7s"
    assert service()["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_each_argument_of_the_container_has_a_place_or_is_left_out_on_purpose() -> None:
    renamed = {
        "nano_cpus": "cpus",
        "restart_policy": "restart",
        "mounts": "volumes",
        "log_config": "logging",
    }
    container = creation(SPEC, Path("/lab/serving"), 1000, 1000)
    placed = {renamed.get(key, key) for key in container if key not in LEFT_OUT}
    assert placed | {"configs", "stop_grace_period"} == set(service())


def test_models_are_mounted_read_only_and_nothing_is_substituted() -> None:
    (volume,) = service()["volumes"]
    assert (volume["source"], volume["target"], volume["read_only"]) == ("/srv/models$$1", "/models", True)
    assert volume["bind"] == {"create_host_path": False}


def test_ports_are_on_loopback_unless_exposed_and_any_free_one_for_auto() -> None:
    assert service()["ports"] == ["127.0.0.1:8501:8501", "127.0.0.1:8500:8500"]
    assert service(replace(SPEC, expose=True, rest_port=0))["ports"][0] == "0.0.0.0::8501"


def test_the_configuration_is_in_the_file_and_no_label_claims_the_container() -> None:
    document = compose_document(SPEC, 1000, 1000)
    assert 'base_path: "/models/m"' in document["configs"]["models-config"]["content"]
    assert [one["target"] for one in service()["configs"]] == [
        "/etc/tfs-workflow/models.config",
        "/etc/tfs-workflow/batching.config",
    ]
    assert document["name"] == "my-lab"
    assert "labels" not in service()


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    path = tmp_path / "compose.yaml"
    path.write_text(yaml.safe_dump(compose_document(SPEC, 1000, 1000)))
    argv = [docker, "compose", "-f", str(path), "config", "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parsed = json.loads(done.stdout)["services"][SERVICE]
    assert parsed["cap_drop"] == ["ALL"]
    assert parsed["read_only"] is True
    assert parsed["ports"][0]["host_ip"] == "127.0.0.1"
