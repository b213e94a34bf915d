"""Warm-up requests that setup writes and a server sends; a class of tests over `lab`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import models
from tests.support.command import CommandLine
from tfs_workflow.formats import tfrecord
from tfs_workflow.formats.savedmodel import WARMUP_FILE
from tfs_workflow.protos.serving_apis_pb2 import PredictionLog

GOLDEN = [
    {"request": {"instances": [1.0, 2.0]}},
    {"request": {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]}},
    {"request": {"signature_name": "regress_x_to_y", "examples": [{"x": [2.0]}], "context": {"note": "text"}}},
]


def copy(lab: CommandLine) -> Path:
    """The warm-up file in the lab's copy of the bundled model."""
    return lab.workspace / "models" / "half_plus_two" / "00000123" / WARMUP_FILE


def logs(path: Path) -> list[PredictionLog]:
    """The requests in a warm-up file."""
    return [PredictionLog.FromString(record) for record in tfrecord.records(path.read_bytes())]


class Warmups:
    """Whichever runtime serves: it sends the requests, and neither lock file nor drift minds them."""

    def test_setup_writes_them_and_the_log_shows_that_they_ran(self, lab: CommandLine) -> None:
        lab.ok("setup")
        lock = lab.directory / "tfs.lock"
        before = lock.read_text()
        (lab.directory / "golden.jsonl").write_text("".join(json.dumps(case) + "\n" for case in GOLDEN))
        lab.config["models"]["half_plus_two"] |= {"warmup": True, "golden": "golden.jsonl"}
        (written,) = lab.ok_json("setup")["warmup"]
        assert (written["version"], written["requests"], written["written"]) == (123, 3, True)
        kinds = [log.WhichOneof("log_type") for log in logs(copy(lab))]
        assert kinds == ["predict_log", "classify_log", "regress_log"]
        again = lab.ok_json("setup", "--locked")
        assert (again["models"]["half_plus_two"]["fresh"], again["warmup"][0]["written"]) == (False, False)
        assert lock.read_text() == before
        served = lab.ok_json("serve")
        assert [run["requests"] for run in served["warmup"]] == [3]
        # Another file is for the next start: it makes no other server, and nothing is fetched again.
        (lab.directory / "rows.jsonl").write_text("1.0\n")
        lab.ok("warmup", "--from", "rows.jsonl")
        status = lab.ok_json("status")
        assert (status["drift"], lab.ok_json("serve")["unchanged"]) == ([], True)
        lab.config["models"]["half_plus_two"]["warmup"] = False
        assert lab.ok_json("setup")["models"]["half_plus_two"]["fresh"] is False
        lab.ok("teardown")
        assert [run["requests"] for run in lab.ok_json("serve")["warmup"]] == [1]

    def test_a_directory_of_the_users_is_written_to_only_when_they_say_so(self, lab: CommandLine) -> None:
        own = models.good(lab.directory, "1")
        lab.config["models"] = {"own": {"source": [{"directory": str(own)}]}}
        lab.ok("setup")
        path = own / "1" / WARMUP_FILE
        assert "--in-place" in lab.fails(2, "warmup")
        assert not path.exists()
        lab.ok("warmup", "--in-place")
        assert len(logs(path)) == 1
        assert [run["requests"] for run in lab.ok_json("serve")["warmup"]] == [1]
        # There now, it is a file of theirs like any other.
        (lab.directory / "rows.jsonl").write_text("1.0\n2.0\n")
        assert "--force replaces them" in lab.fails(2, "warmup", "--in-place", "--from", "rows.jsonl")
        lab.ok("warmup", "--in-place", "--from", "rows.jsonl", "--force")
        assert len(logs(path)) == 2
