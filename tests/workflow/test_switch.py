"""What needs another engine of the embedded server is loaded beside the one that serves, and no request is lost."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.load import load_on
from tests.support.waiting import until

pytest.importorskip("tensorflow", reason="the embedded server needs TensorFlow")

PREDICT = "/v1/models/half_plus_two:predict"
# A file that a session is made from, and that only the engine reads.
NO_SESSION = {"tensorflow_session_config_file": "/nowhere/session.config"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    line.config["models"]["half_plus_two"]["source"] = [{"directory": str(models.good(tmp_path / "own"))}]
    line.ok("setup", "serve")
    yield line
    line.run("teardown", "--purge")


def switched(lab: CommandLine) -> list[str]:
    """Run serve, which must have the same server load another engine; where it differed."""
    before = lab.ok_json("status")["id"]
    document: dict[str, Any] = lab.ok_json("serve")
    assert document["id"] == before
    assert document["replaced"] == document["reloaded"] == []
    assert lab.ok_json("status")["drift"] == []
    return [one["where"] for one in document["switched"]]


def engines(lab: CommandLine) -> list[int]:
    children = psutil.Process(int(lab.ok_json("status")["id"])).children()
    return [child.pid for child in children if "engine_process" in " ".join(child.cmdline())]


def record_an_older_tensorflow(lab: CommandLine) -> None:
    """As if TensorFlow had been upgraded since the server was started."""
    (path,) = lab.workspace.glob("**/state.json")
    state = json.loads(path.read_text())
    state["served"]["spec"]["tensorflow"] = "2.19.0"
    state["served"]["digest"] = "000000000000"
    path.write_text(json.dumps(state))


def test_flags_files_and_tensorflow_change_under_load_and_no_request_is_lost(lab: CommandLine) -> None:
    with load_on(lab.ok_json("status")["rest_url"], PREDICT) as load:
        lab.config["server"]["metrics"] = True
        assert switched(lab) == ["server.metrics"]
        lab.config["server"]["flags"] = {"file_system_poll_wait_seconds": 5}
        assert switched(lab) == ["server.flags"]
        (lab.directory / "own" / "model" / "1" / "extra").write_text("a file of the served version")
        assert switched(lab) == ["models.half_plus_two"]
        record_an_older_tensorflow(lab)
        assert switched(lab) == ["the installed TensorFlow"]
    assert load.failures == []
    assert load.answered > 100
    assert "already running" in lab.run("serve").stderr


def test_a_reload_after_a_switch_leaves_no_drift(lab: CommandLine) -> None:
    lab.config["server"]["metrics"] = True
    assert switched(lab) == ["server.metrics"]
    lab.config["models"]["half_plus_two"]["labels"] = {"stable": 1}
    assert [one["where"] for one in lab.ok_json("serve")["reloaded"]] == ["models.half_plus_two"]
    assert lab.ok_json("status")["drift"] == []
    assert lab.ok_json("serve")["unchanged"] is True


def test_an_engine_that_does_not_come_up_leaves_the_one_that_serves(lab: CommandLine) -> None:
    before = engines(lab)
    with load_on(lab.ok_json("status")["rest_url"], PREDICT) as load:
        lab.config["server"]["flags"] = NO_SESSION
        message = lab.fails(5, "serve")
        assert "the other engine did not come up" in message
        assert "the former one serves on" in message
        assert "/nowhere/session.config" in message
        assert engines(lab) == before
    assert load.failures == []
    del lab.config["server"]["flags"]
    assert "already running" in lab.run("serve").stderr


def test_ctrl_c_during_a_switch_leaves_a_server_that_the_next_serve_finishes(lab: CommandLine) -> None:
    (log,) = lab.workspace.glob("**/server.log")
    with load_on(lab.ok_json("status")["rest_url"], PREDICT) as load:
        lab.config["server"]["metrics"] = True
        with subprocess.Popen(lab.argv("serve"), stderr=subprocess.PIPE, text=True) as verb:
            until(lambda: "SIGHUP: starting another engine" in log.read_text())
            verb.send_signal(signal.SIGINT)
            verb.communicate(timeout=60)
        assert verb.returncode == 130
        # The engine that was loading is given up, and the flags of before are read once more.
        until(lambda: "The new engine serves" in log.read_text() and len(engines(lab)) == 1)
        lab.ok("serve")
        assert lab.ok_json("status")["drift"] == []
    assert load.failures == []


def test_what_the_process_is_started_with_replaces_it(lab: CommandLine) -> None:
    lab.config["server"]["environment"] = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    document = lab.ok_json("serve")
    assert [one["where"] for one in document["replaced"]] == ["server.environment.TF_ENABLE_ONEDNN_OPTS"]
    lab.config["server"]["fronts"] = 0
    assert [one["where"] for one in lab.ok_json("serve")["replaced"]] == ["server.flags"]
    lab.config["server"]["metrics"] = True
    assert [one["where"] for one in lab.ok_json("serve")["replaced"]] == ["server.metrics"], (
        "one process has one engine"
    )
