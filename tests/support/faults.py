"""Faults on the way: interrupted and killed verbs, killed servers; a class of tests over a fixture named `lab`."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import docker
import pytest

from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.waiting import until
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.lookup import Runtimes


def servers(lab: CommandLine) -> list[ModelServer]:
    """What bears the project's label now, running or ended."""
    runtimes = Runtimes(lab.workspace / "serving", lab.workspace / "run" / "server.log")
    return [server for _, server in runtimes.find(lab.project, (lab.config["runtime"],))]


def kill(server: ModelServer) -> None:
    """End a server from outside, as the kernel would."""
    if server.runtime == "docker":
        docker.from_env().containers.get(server.id).kill()
    else:
        os.kill(int(server.id), signal.SIGKILL)


def running(lab: CommandLine) -> bool:
    return any(server.exit_code is None for server in servers(lab))


class Faults:
    """Whatever happens: one message, the documented exit code, nothing left behind, and the next run succeeds."""

    def waiting(self, lab: CommandLine) -> subprocess.Popen[str]:
        """A `serve` that has started its server and waits for it; the model is never AVAILABLE."""
        lab.ok("setup")
        lab.config["server"]["flags"] = NEVER_READY
        process = lab.start("serve")
        until(lambda: running(lab), process)
        return process

    def works_again(self, lab: CommandLine) -> None:
        lab.config["server"].pop("flags", None)
        lab.ok("serve")
        assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
        assert len(servers(lab)) == 1

    @pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_an_interrupted_start_leaves_nothing(self, lab: CommandLine, number: int, exit_code: int) -> None:
        process = self.waiting(lab)
        process.send_signal(number)
        _, message = process.communicate(timeout=30)
        assert process.returncode == exit_code
        assert "Traceback" not in message
        assert servers(lab) == []
        self.works_again(lab)

    def test_an_interrupted_replacement_brings_the_old_server_back(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.ok("serve")
        before = servers(lab)[0].digest
        # A variable needs another server, whatever the runtime.
        lab.config["server"] |= {"flags": NEVER_READY, "environment": {"A": "1"}}
        process = lab.start("serve")
        until(lambda: any(s.digest != before and s.exit_code is None for s in servers(lab)), process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert [s.digest for s in servers(lab)] == [before]
        until(lambda: lab.run("predict").returncode == 0)

    def test_a_killed_start_is_taken_over_by_the_next(self, lab: CommandLine) -> None:
        process = self.waiting(lab)
        process.kill()
        process.communicate(timeout=30)
        self.works_again(lab)

    def test_a_killed_start_is_removed_by_teardown(self, lab: CommandLine) -> None:
        process = self.waiting(lab)
        process.kill()
        process.communicate(timeout=30)
        lab.ok("teardown")
        assert servers(lab) == []

    def test_waiting_ends_when_the_server_is_killed(self, lab: CommandLine) -> None:
        process = self.waiting(lab)
        kill(servers(lab)[0])
        _, message = process.communicate(timeout=30)
        assert process.returncode == 5
        assert "exit code 137" in message
        assert "next step" in message
        assert servers(lab) == []
        self.works_again(lab)

    def test_waiting_ends_at_the_deadline_and_says_what_was_seen_last(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.config["server"] |= {"flags": NEVER_READY, "ready_timeout_s": 1.5}
        message = lab.fails(5, "serve")
        assert "not AVAILABLE after 1.5 s" in message
        assert servers(lab) == []

    def test_a_server_killed_while_serving_is_reported_and_replaced(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lab.ok("serve")
        kill(servers(lab)[0])
        until(lambda: not running(lab))
        assert "tfs serve" in lab.fails(5, "status")
        assert "tfs serve" in lab.fails(5, "predict")
        self.works_again(lab)

    def test_an_interrupted_teardown_can_be_repeated(self, lab: CommandLine) -> None:
        lab.ok("setup", "serve")
        process = lab.start("teardown")
        until(lambda: (lab.workspace / ".lock").read_text() == str(process.pid), process)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=30)
        assert process.returncode in (0, 130)
        assert "Traceback" not in message
        lab.ok("teardown")
        assert servers(lab) == []

    @pytest.mark.parametrize("verb", ["setup", "serve", "teardown"])
    def test_a_verb_killed_at_its_start_can_be_repeated(self, lab: CommandLine, verb: str) -> None:
        lab.ok("setup")
        if verb == "teardown":
            lab.ok("serve")
        process = lab.start(verb)
        until(lambda: (lab.workspace / ".lock").read_text() == str(process.pid), process)
        process.kill()
        process.communicate(timeout=30)
        lab.ok(verb)
        if verb != "teardown":
            self.works_again(lab)
        else:
            assert servers(lab) == []
