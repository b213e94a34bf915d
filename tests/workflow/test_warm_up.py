"""Warm-up on the embedded server, and what is no warm-up request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.warmups import Warmups, copy, logs
from tfs_workflow.formats.savedmodel import WARMUP_FILE
from tfs_workflow.workflow.model.warmup_log import WarmupRun, warmups_in


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


class TestEmbeddedWarmups(Warmups):
    """A local process."""


def test_every_served_version_gets_the_requests_or_the_one_that_is_named(lab: CommandLine) -> None:
    own = models.good(lab.directory, "1", "2")
    lab.config["models"] = {"own": {"source": [{"directory": str(own)}], "versions": "all"}}
    lab.ok("setup")
    assert "there are: 1, 2" in lab.fails(2, "warmup", "--version", "3", "--in-place")
    lab.ok("warmup", "--version", "2", "--in-place")
    assert [(own / version / WARMUP_FILE).exists() for version in ("1", "2")] == [False, True]
    assert len(lab.ok_json("warmup", "--in-place")["warmup"]) == 2


def test_what_a_model_brings_is_kept_unless_it_is_to_be_replaced(lab: CommandLine) -> None:
    own = models.good(lab.directory, "1")
    (own / "1" / WARMUP_FILE.parent).mkdir()
    (own / "1" / WARMUP_FILE).write_bytes(b"")
    lab.config["models"] = {"own": {"source": [{"directory": str(own)}], "warmup": True}}
    assert "--in-place" in lab.fails(2, "setup")
    assert (own / "1" / WARMUP_FILE).read_bytes() == b""


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('"text"', "rows.jsonl: row 1: input x: 'text' is not of the type float32"),
        ("{", "malformed JSON"),
        ('{"other": 1.0}', "exactly the inputs x"),
        ("", "no rows"),
        ("1.0\n" * 1001, "more than the 1000 warm-up requests that a server takes"),
    ],
    ids=["type", "malformed", "name", "none", "too-many"],
)
def test_what_is_no_request_writes_nothing(lab: CommandLine, row: str, words: str) -> None:
    lab.ok("setup")
    (lab.directory / "rows.jsonl").write_text(row + "\n")
    exit_code = 2 if "1000" in words else 6
    assert words in lab.fails(exit_code, "warmup", "--from", "rows.jsonl")
    assert not copy(lab).exists()


def test_a_shape_that_the_model_rejects_is_found_before_it_keeps_the_model_from_serving(lab: CommandLine) -> None:
    lab.ok("setup")
    lab.config["models"]["half_plus_two"]["golden"] = "golden.jsonl"
    cases = [{"request": {"signature_name": "regress_x_to_y", "inputs": "text"}}]
    (lab.directory / "golden.jsonl").write_text(json.dumps(cases[0]) + "\n")
    message = lab.fails(6, "warmup")
    assert "golden.jsonl:1: the shape () does not fit inputs: string (any)" in message
    (lab.directory / "golden.jsonl").write_text('{"request": {"examples": [{"x": 1.0}]}}\n')
    assert "examples are for classify and regress" in lab.fails(6, "warmup")
    (lab.directory / "golden.jsonl").write_text('{"request": {"signature_name": "no", "instances": [1.0]}}\n')
    assert "has no signature no" in lab.fails(6, "warmup")


def test_dry_run_and_the_example(lab: CommandLine) -> None:
    lab.ok("setup")
    assert lab.ok("warmup", "--dry-run") == "would write warm-up requests for half_plus_two\n"
    assert not copy(lab).exists()
    lab.ok("warmup")
    (log,) = logs(copy(lab))
    assert log.predict_log.request.model_spec.name == "half_plus_two"
    assert copy(lab).stat().st_mode & 0o777 == 0o644


def test_the_line_of_the_real_server_is_understood() -> None:
    # From a published log of a container of tensorflow/serving, 2022-10-02.
    line = (
        "2022-10-02 06:53:31.495273: I tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc:122] "
        "Finished reading warmup data for model at /models/resnet/50/assets.extra/tf_serving_warmup_requests. "
        "Number of warmup records read: 200. Elapsed time (microseconds): 45988765."
    )
    file = "/models/resnet/50/assets.extra/tf_serving_warmup_requests"
    assert list(warmups_in(["another line", line])) == [WarmupRun(file, 200)]
