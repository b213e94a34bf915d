"""verify on the embedded server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import CommandLine
from tests.support.verifications import GOLDEN, MODEL, Verifications, serve_two_versions, write_golden


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


class TestEmbeddedVerifications(Verifications):
    """A local process."""


def test_without_golden_cases_a_request_is_made_and_it_is_said_how_little_that_shows(lab: CommandLine) -> None:
    assert "the signature: types, shapes and finite numbers, no more" in lab.ok("verify")
    del lab.config["models"]["half_plus_two"]["example"]
    (case,) = lab.ok_json("verify")["models"][0]["cases"]
    assert (case["case"], case["checked"]) == ("a request made from the signature", "signature")


def test_mistakes_end_in_one_message_and_start_no_server(lab: CommandLine) -> None:
    golden = serve_two_versions(lab)
    for wrong, words in (
        (["--model", "other"], "there are: plus"),
        (["--force"], "--force goes with --record"),
        (["--record", "--against", "1"], "exclude each other"),
        (["--version", "1", "--label", "stable"], "expected a version or a label"),
        (["--junit", "nowhere/result.xml"], "there is no such directory"),
        (["--transport", "smoke"], "expected rest or grpc"),
    ):
        message = lab.fails(2, "verify", *wrong)
        assert words in message
        assert "is started" not in message
    golden.write_text("\n")
    assert "golden.jsonl: no golden cases" in lab.fails(6, "verify")
    golden.write_text('{"request": {"instances": [1.0]}, "answer": 2}\n')
    assert "golden.jsonl:1: expected an object with a request and its response" in lab.fails(6, "verify")
    golden.unlink()
    assert "tfs verify --record writes it" in lab.fails(2, "verify")
    lab.config["models"][MODEL]["tolerance"] = {"relative": float("nan")}
    assert "models.plus.tolerance.relative" in lab.fails(2, "verify")


def test_what_the_server_does_not_have_is_named_with_the_case(lab: CommandLine) -> None:
    golden = serve_two_versions(lab)
    lab.ok("setup", "serve")
    write_golden(lab, [*GOLDEN, {"request": {"signature_name": "serving_defualt", "instances": [1.0]}}])
    message = lab.fails(6, "verify", "--version", "1")
    assert "golden.jsonl:3" in message
    assert "did you mean serving_default?" in message
    assert "Servable not found for request: Specific(plus, 7)" in lab.fails(6, "verify", "--version", "7")
    write_golden(lab, [{"request": {"instances": ["text"]}, "response": {"predictions": [1.0]}}, *GOLDEN])
    document = json.loads(lab.run("verify", "--version", "1", "--json").stdout)
    assert [case["held"] for case in document["models"][0]["cases"]] == [False, True, True]
    assert "expects x: float32" in document["models"][0]["cases"][0]["error"]
    # What the server refuses is no answer to record.
    text = golden.read_text()
    lab.fails(6, "verify", "--record", "--force", "--version", "1")
    assert golden.read_text() == text


def test_record_writes_a_case_for_each_row(lab: CommandLine) -> None:
    golden = serve_two_versions(lab)
    golden.unlink()
    (lab.directory / "rows.csv").write_text("x\n1.0\nNaN\n")
    lab.ok("verify", "--record", "--from", "rows.csv", "--version", "1")
    first, second = map(json.loads, golden.read_text().splitlines())
    assert first == {"request": {"instances": [1.0]}, "response": {"predictions": [3.0]}}
    assert second["response"]["predictions"][0] != second["response"]["predictions"][0]
    lab.ok("verify", "--version", "1")


def test_dry_run_says_what_would_be_asked_and_asks_nothing(lab: CommandLine) -> None:
    serve_two_versions(lab)
    assert lab.ok("verify", "--dry-run") == "would verify plus with 2 golden cases\n"
    assert not lab.workspace.exists()
