"""Results go to stdout and everything else to stderr, plain where stderr is no terminal."""

from __future__ import annotations

import json
import math

import pytest

from tfs_workflow.cli import console


def test_results_and_everything_else_go_different_ways(capsys: pytest.CaptureFixture[str]) -> None:
    console.result("a result")
    console.note("a note")
    console.warn("a warning")
    console.error("an error")
    console.step("invoke setup")
    out, err = capsys.readouterr()
    assert out == "a result\n"
    assert err.splitlines() == ["INFO    a note", "WARNING a warning", "error: an error", "$ tfs setup"]


def test_a_json_result_is_one_document_that_keeps_nan(capsys: pytest.CaptureFixture[str]) -> None:
    console.result_json({"rows": [math.nan, 1.5], "name": "naïve"})
    found = json.loads(capsys.readouterr().out)
    assert math.isnan(found["rows"][0])
    assert found["name"] == "naïve"


def test_no_bars_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bars() as bars:
        bars("image", 1, 2)
    assert capsys.readouterr().err == ""


def test_details_are_shown_on_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    console.set_verbose(False)
    console.detail("hidden")
    console.set_verbose(True)
    console.detail("shown")
    console.set_verbose(False)
    err = capsys.readouterr().err
    assert "shown" in err
    assert "hidden" not in err
