"""`tfs doctor` as users call it: before setup, after it, while serving, and where something is missing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import models
from tests.support.chain import port_of
from tests.support.command import CommandLine


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


def findings(lab: CommandLine, exit_code: int = 0) -> dict[str, dict[str, str]]:
    """The findings by check; the command must end with this exit code and no message besides."""
    done = lab.run("doctor", "--json")
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    counted = [f["status"] for f in document["findings"]]
    assert (document["failures"], document["warnings"]) == (counted.count("failure"), counted.count("warning"))
    return {f["check"]: f for f in document["findings"]}


def not_ok(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {check: f["status"] for check, f in found.items() if f["status"] != "ok"}


def test_before_setup_after_it_and_while_serving(lab: CommandLine) -> None:
    before = findings(lab)
    assert "model half_plus_two: base path" in before
    assert not lab.workspace.exists()
    lab.ok("setup")
    assert not_ok(findings(lab)) == {}
    server = lab.ok_json("serve")
    lab.config["server"] |= {"rest_port": port_of(server["rest_url"])}
    assert "this project's own server" in findings(lab)["ports: server.rest_port"]["evidence"]


def test_a_model_that_is_still_to_be_fetched_says_from_where(lab: CommandLine) -> None:
    lab.config["models"]["half_plus_two"]["source"] = [{"git": "http://127.0.0.1:1/s.git", "ref": "v1", "path": "m"}]
    evidence = findings(lab)["model half_plus_two: source"]["evidence"]
    assert "invoke setup takes git http://127.0.0.1:1/s.git v1 m" in evidence


def test_the_table_is_aligned_and_has_every_fix(lab: CommandLine) -> None:
    lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(models.version_named_v01(lab.directory))}]
    done = lab.run("doctor")
    assert done.returncode == 4
    lines = done.stdout.splitlines()
    assert lines[1].startswith("failure")
    assert lines[2].index("fix: rename it to a number") == lines[0].index("found")
    assert lines[-1].startswith("1 failure, 0 warnings, ")
    assert "ports: server.rest_port" not in done.stdout
    assert "ports: server.rest_port" in lab.run("doctor", "--all").stdout


def test_a_taken_port_ends_in_its_own_exit_code(lab: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        lab.config["server"]["rest_port"] = holder.getsockname()[1]
        found = findings(lab, 5)
    assert not_ok(found) == {"ports: server.rest_port": "failure"}
    assert "is taken by process" in found["ports: server.rest_port"]["evidence"]


def test_all_failures_come_at_once_and_the_first_gives_the_exit_code(lab: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        lab.config["server"] |= {"rest_port": holder.getsockname()[1], "flags": {"num_load_threads": "many"}}
        lab.config["models"]["half_plus_two"]["source"] = [{"directory": "nowhere"}]
        assert set(not_ok(findings(lab, 2)).values()) == {"failure"}
        assert len(not_ok(findings(lab, 2))) == 3


def test_a_broken_yaml_still_has_machine_and_tools_checked(lab: CommandLine) -> None:
    lab.environment["DOCKER_HOST"] = f"unix://{lab.directory}/no.sock"
    lab.config["server"] |= {"rest_port": "eighty"}
    found = findings(lab, 2)
    assert "rest_port" in next(f["evidence"] for f in found.values() if f["status"] == "failure")
    assert {"machine: processor", "tools: git", "engine"} <= found.keys()


def test_without_an_engine(lab: CommandLine) -> None:
    lab.environment["DOCKER_HOST"] = f"unix://{lab.directory}/no.sock"
    assert findings(lab)["engine"]["status"] == "ok"
    lab.config["runtime"] = "auto"
    assert not_ok(findings(lab)) == {"engine": "warning"}
    lab.config["runtime"] = "docker"
    found = findings(lab, 3)["engine"]
    assert "no Docker engine answers" in found["evidence"]
    assert "start Docker" in found["fix"]


def test_an_engine_that_accepts_and_never_answers_does_not_hold_up_the_rest(lab: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lab.environment["DOCKER_HOST"] = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        lab.config["runtime"] = "docker"
        found = findings(lab, 3)
    assert not_ok(found) == {"engine": "failure"}
    assert "model half_plus_two v123: files" in found


def test_a_foreign_workspace_and_a_missing_native_server(lab: CommandLine) -> None:
    lab.workspace.mkdir()
    (lab.workspace / "thesis.tex").write_text("x")
    lab.config["runtime"] = "native"
    lab.config["server"]["native_binary"] = "no_such_server"
    found = findings(lab, 2)
    assert "thesis.tex" in json.dumps(found)
    assert "no no_such_server on this machine" in json.dumps(found)
    assert [p.name for p in lab.workspace.iterdir()] == ["thesis.tex"]


def test_setup_warns_of_a_port_that_serve_will_need_but_not_of_its_own_servers(lab: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = lab.config["server"]["rest_port"] = holder.getsockname()[1]
        done = lab.run("setup")
    assert done.returncode == 0
    assert f"server.rest_port: port {port} is taken by process" in done.stderr
    lab.ok("serve")
    assert "is taken" not in lab.run("setup").stderr
