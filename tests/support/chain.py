"""The journey of a user, the same on every runtime: a class of tests over a fixture named `lab`."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
from typing import Any

import pytest
import requests

from tests.support.command import CommandLine
from tests.support.waiting import until

# TensorFlow Serving's own flag for a server that never looks for its models: it starts and waits for ever.
NEVER_READY = {"file_system_poll_wait_seconds": -1}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


class Chain:
    """setup, serve, predict, describe, status, logs, teardown: each works, and each is safe to repeat."""

    def test_one_chain_from_nothing_to_predictions_and_back(self, lab: CommandLine) -> None:
        lab.ok("setup")
        assert "half_plus_two  v123  AVAILABLE" in lab.ok("serve")
        assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
        lab.ok("teardown")
        assert "no server" in lab.ok("teardown")

    def test_the_verbs_work_as_one_command(self, lab: CommandLine) -> None:
        out = lab.ok("setup", "serve", "predict", "teardown")
        assert "[2.5, 3.0, 4.5]" in out.splitlines()
        assert "removed" in out.splitlines()[-1]

    def test_demo_shows_each_step_and_leaves_no_server(self, lab: CommandLine) -> None:
        done = lab.run("demo")
        assert done.returncode == 0, done.stderr
        assert "[2.5, 3.0, 4.5]" in done.stdout.splitlines()
        steps = [line for line in done.stderr.splitlines() if line.startswith("$ tfs ")]
        assert [step.split()[2] for step in steps] == ["setup", "serve", "predict", "teardown"]
        lab.fails(5, "status")

    def test_a_demo_that_fails_still_tears_down(self, lab: CommandLine) -> None:
        lab.config["models"]["half_plus_two"]["example"] = {"instances": ["no number"]}
        assert "is not of expected type" in lab.fails(6, "demo")
        lab.fails(5, "status")

    def test_serve_prints_a_curl_line_that_works_when_pasted(self, lab: CommandLine) -> None:
        lab.ok("setup")
        curl = next(line for line in lab.ok("serve").splitlines() if line.startswith("curl "))
        answer = subprocess.run([*shlex.split(curl), "-sS"], check=True, capture_output=True, text=True).stdout
        assert json.loads(answer) == {"predictions": [2.5, 3.0, 4.5]}

    def test_serve_again_is_a_no_op_that_says_so(self, lab: CommandLine) -> None:
        lab.ok("setup")
        first = lab.ok_json("serve")
        again = lab.run("serve", "--json")
        assert "already running" not in json.dumps(first)
        assert json.loads(again.stdout)["id"] == first["id"]
        assert json.loads(again.stdout)["unchanged"] is True
        assert "already running" in lab.run("serve").stderr

    def test_serve_with_another_spec_replaces_the_server(self, lab: CommandLine) -> None:
        lab.ok("setup")
        first = lab.ok_json("serve")
        # A variable needs another server, whatever the runtime.
        lab.config["server"] |= {"metrics": True, "environment": {"A": "1"}}
        second = lab.ok_json("serve")
        assert second["id"] != first["id"]
        assert requests.get(second["rest_url"] + "/monitoring/prometheus/metrics", timeout=5).status_code == 200
        assert is_free(port_of(first["rest_url"])) or first["rest_url"] == second["rest_url"]

    def test_a_failed_replacement_leaves_the_old_server_serving(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.ok("serve")
        lab.config["server"] |= {"flags": NEVER_READY, "ready_timeout_s": 1.5}
        lab.fails(5, "serve")
        until(lambda: lab.run("predict").returncode == 0)
        del lab.config["server"]["flags"], lab.config["server"]["ready_timeout_s"]
        assert lab.ok_json("serve")["unchanged"] is True

    def test_status_tells_runtime_ports_uptime_and_versions(self, lab: CommandLine) -> None:
        lab.ok("setup")
        served = lab.ok_json("serve")
        found = lab.ok_json("status")
        assert found["rest_url"] == served["rest_url"]
        assert found["runtime"] == lab.config["runtime"]
        assert [v["state"] for v in found["models"]["half_plus_two"]] == ["AVAILABLE"]
        text = lab.ok("status")
        assert "half_plus_two  v123  AVAILABLE" in text
        assert " up " in text

    def test_logs_show_what_the_server_said(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.ok("serve")
        everything = lab.ok("logs")
        assert "Successfully loaded servable version {name: half_plus_two version: 123}" in everything
        assert len(lab.ok("logs", "--tail", "2").splitlines()) == 2

    def test_following_logs_ends_when_the_server_does(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.ok("serve")
        following = lab.start("logs", "--follow")
        assert following.stdout is not None
        assert following.stdout.readline()
        lab.ok("teardown")
        following.communicate(timeout=30)

    def test_serve_and_follow_tears_down_on_ctrl_c(self, lab: CommandLine) -> None:
        lab.ok("setup")
        process = lab.start("serve", "--follow")
        until(lambda: lab.run("status").returncode == 0, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
        lab.fails(5, "status")

    def test_a_server_listens_on_loopback_only(self, lab: CommandLine) -> None:
        lab.ok("setup")
        port = port_of(lab.ok_json("serve")["rest_url"])
        listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], check=True, capture_output=True, text=True)
        assert [line.split()[3] for line in listening.stdout.splitlines()] == [f"127.0.0.1:{port}"]

    def test_predict_and_status_without_a_server_say_what_to_do(self, lab: CommandLine) -> None:
        assert "tfs serve" in lab.fails(5, "status")
        assert "tfs serve" in lab.fails(5, "predict")
        assert "tfs serve" in lab.fails(5, "logs")

    def test_serve_before_setup_says_what_to_do(self, lab: CommandLine) -> None:
        assert "tfs setup" in lab.fails(2, "serve", "--no-setup")

    def test_a_yaml_that_changed_since_setup_says_what_to_do(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.config["models"]["other"] = {"source": [{"bundled": "half_plus_two"}]}
        assert "tfs setup" in lab.fails(2, "serve", "--no-setup")
        assert set(lab.ok_json("serve")["models"]) == {"half_plus_two", "other"}

    def test_purge_removes_the_workspace_and_nothing_else(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.ok("serve")
        bystander = lab.directory / "bystander"
        bystander.write_text("mine")
        lab.ok("teardown", "--purge")
        assert not lab.workspace.exists()
        assert bystander.read_text() == "mine"

    def test_teardown_finds_its_server_without_the_workspace(self, lab: CommandLine) -> None:
        lab.ok("setup")
        port = port_of(lab.ok_json("serve")["rest_url"])
        subprocess.run(["rm", "-rf", "--", str(lab.workspace)], check=True)
        assert "removed" in lab.ok("teardown")
        assert is_free(port)

    def test_a_taken_port_is_named_with_its_holder_and_leaves_nothing(self, lab: CommandLine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            lab.config["server"]["rest_port"] = holder.getsockname()[1]
            lab.ok("setup")
            message = lab.fails(5, "serve")
        assert f"port {holder_port(lab)} is taken by process" in message
        assert "server.rest_port" in message
        lab.fails(5, "status")
        lab.ok("serve")

    @pytest.mark.parametrize("chosen", [{"versions": "all", "labels": {"stable": 123}}, {"versions": [123]}])
    def test_versions_and_labels_reach_the_server(self, lab: CommandLine, chosen: dict[str, Any]) -> None:
        lab.config["models"]["half_plus_two"] |= chosen
        lab.ok("setup")
        lab.ok("serve")
        label = ("--label", "stable") if "labels" in chosen else ("--version", "123")
        assert json.loads(lab.ok("predict", *label)) == [2.5, 3.0, 4.5]

    def test_two_serves_at_once_start_one_server(self, lab: CommandLine) -> None:
        lab.ok("setup")
        both = [lab.start("serve", "--json") for _ in range(2)]
        answers = [json.loads(process.communicate(timeout=90)[0]) for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert answers[0]["id"] == answers[1]["id"]
        assert sorted(answer["unchanged"] for answer in answers) == [False, True]


def holder_port(lab: CommandLine) -> int:
    return int(lab.config["server"]["rest_port"])
