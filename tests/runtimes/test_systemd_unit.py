"""The unit runs the server with its configuration inside, few rights, and the limits of the YAML."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec
from tfs_workflow.runtimes.systemd_unit import systemd_unit

SPEC = ServerSpec(
    project="lab",
    runtime="embedded",
    models=(ModelSpec("m", Path('/srv/50% of "it"')),),
    memory_bytes=1 << 30,
    cpus=1.5,
    flags=(("num_load_threads", "2$"),),
    environment=(("TF_CPP_MIN_LOG_LEVEL", "50% $"),),
)
COMMAND = [sys.executable, "-m", "tfs_workflow.modelserver", "--bind_address=127.0.0.1"]


def lines(spec: ServerSpec = SPEC, uid: int = 0) -> list[str]:
    return systemd_unit(spec, COMMAND, uid).splitlines()


def value(key: str, spec: ServerSpec = SPEC, uid: int = 0) -> str:
    (found,) = (line for line in lines(spec, uid) if line.startswith(f"{key}="))
    return found.partition("=")[2]


def test_the_command_line_names_the_configuration_in_the_unit() -> None:
    command = value("ExecStart")
    assert command.startswith(f'"{sys.executable}" "-m" "tfs_workflow.modelserver"')
    assert '"--model_config_file=${CREDENTIALS_DIRECTORY}/models.config"' in command
    assert '"--num_load_threads=2$$"' in command
    assert value("SetCredential").startswith("models.config:model_config_list {\\n")
    assert '50% of \\\\"it\\\\"' in value("SetCredential")


def test_models_below_tmp_are_seen_in_spite_of_a_private_one() -> None:
    model = ModelSpec("m", Path("/tmp/base:path"), links=(("1", Path("/tmp/model")),))  # only names
    found = [line for line in lines(replace(SPEC, models=(model,))) if line.startswith("BindReadOnlyPaths=")]
    assert found == [r'BindReadOnlyPaths="/tmp/base\\:path"', 'BindReadOnlyPaths="/tmp/model"']


def test_limits_and_user() -> None:
    assert (value("MemoryMax"), value("CPUQuota"), value("TasksMax")) == (str(1 << 30), "150%", "512")
    assert value("User") == "root"
    assert 'Environment="TF_CPP_MIN_LOG_LEVEL=50%% $"' in lines()
    assert value("IPAddressAllow") == "localhost"
    assert not [line for line in lines(replace(SPEC, expose=True)) if line.startswith("IPAddress")]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit_and_finds_it_well_confined(tmp_path: Path) -> None:
    path = tmp_path / "lab.service"
    path.write_text("\n".join(lines()) + "\n")
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert "lab.service" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    argv = ["systemd-analyze", "security", "--offline=true", "--json=short", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode and "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze has no --offline")
    open_rights = {one["json_field"] for one in json.loads(done.stdout) if one["set"] is False}
    assert not open_rights & {"NoNewPrivileges", "CapabilityBoundingSet_CAP_SYS_ADMIN", "ProtectSystem", "PrivateTmp"}
