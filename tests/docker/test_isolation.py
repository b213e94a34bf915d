"""What the model server may do, seen from inside its running container."""

from __future__ import annotations

import docker
import pytest
from docker.models.containers import Container

from tests.support.command import CommandLine


@pytest.fixture
def inside(lab: CommandLine, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Container:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "must not leak")
    lab.config["server"] |= {"memory": "1g", "pids": 200}
    lab.ok("setup")
    lab.ok("serve")
    return engine.containers.get(f"tfs-{lab.project}")


def sh(container: Container, script: str) -> tuple[int, str]:
    code, output = container.exec_run(["sh", "-c", script])
    assert isinstance(output, bytes)
    assert code is not None
    return code, output.decode()


def test_it_is_not_root_has_no_capabilities_and_can_gain_none(inside: Container) -> None:
    _, status = sh(inside, "cat /proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in facts["Uid"].split()
    assert facts["CapEff"] == facts["CapPrm"] == facts["CapBnd"] == "0" * 16
    assert facts["NoNewPrivs"] == "1"


@pytest.mark.parametrize("path", ["/probe", "/models/half_plus_two/probe", "/etc/tfs-workflow/probe", "/usr/bin/probe"])
def test_it_cannot_write_outside_its_own_tmp(inside: Container, path: str) -> None:
    assert sh(inside, f"touch {path}")[0] != 0
    assert sh(inside, "touch /tmp/probe")[0] == 0


def test_root_file_system_and_models_are_mounted_read_only(inside: Container) -> None:
    _, mounts = sh(inside, "cat /proc/mounts")
    options = {line.split()[1]: line.split()[3].split(",") for line in mounts.splitlines()}
    for path in ("/", "/models", "/etc/tfs-workflow"):
        assert "ro" in options[path]


def test_processes_and_memory_are_limited(inside: Container) -> None:
    limits = inside.attrs["HostConfig"]
    assert limits["PidsLimit"] == 200
    assert limits["Memory"] == limits["MemorySwap"] == 1 << 30
    code, _ = sh(inside, "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | grep -qx 200")
    assert code == 0


def test_nothing_of_the_hosts_environment_leaks_in(inside: Container) -> None:
    _, environment = sh(inside, "cat /proc/1/environ | tr '\\0' '\\n'")
    assert "PATH=" in environment
    assert "SECRET" not in environment
    assert "PROXY" not in environment.upper()


def test_only_loopback_is_published(inside: Container) -> None:
    inside.reload()
    published = [b["HostIp"] for bindings in inside.ports.values() for b in bindings or []]
    assert published == ["127.0.0.1"] * 2


def test_expose_is_the_one_key_that_opens_the_ports_and_serve_says_so(
    lab: CommandLine, engine: docker.DockerClient
) -> None:
    lab.config["server"]["expose"] = True
    lab.ok("setup")
    for _ in range(2):
        assert "open to the whole network" in lab.run("serve").stderr
    ports = engine.containers.get(f"tfs-{lab.project}").ports
    assert {b["HostIp"] for bindings in ports.values() for b in bindings or []} == {"0.0.0.0"}
