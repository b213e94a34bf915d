"""A wrong word ends in one line with exit code 2 and a suggestion; an error is JSON where that was wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfs_workflow.cli.command_line.suggestions import meant_word
from tfs_workflow.cli.tasks import collection

VERBS = set(collection().task_names)


def tfs(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", *words]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["srve"], "tfs serve"),
        (["up"], "tfs serve"),
        (["down"], "tfs teardown"),
        (["ps"], "tfs status"),
        (["stop"], "tfs teardown"),
        (["stats"], "tfs status"),
        (["init"], "tfs config.init"),
        (["xyzzy"], "tfs --help"),
        (["help", "srve"], "tfs serve"),
        (["serve", "--folow"], "--follow"),
        (["status", "--jsn"], "--json"),
        (["serve", "-f", "x"], "tfs --help serve"),
        (["predict", "--batch-rows", "x"], "--batch-rows"),
        (["logs", "--tail", "x"], "--tail"),
        (["logs", "--tail"], "--tail"),
        (["-l", "--list-format", "json"], "--list"),
    ],
)
def test_a_wrong_word_ends_with_a_hint(tmp_path: Path, words: list[str], hint: str) -> None:
    tfs(tmp_path, "config.init")
    done = tfs(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert hint in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words", [["predict", "--batch-rows", "x"], ["logs", "--tail", "x"], ["export", "compse"]], ids=" ".join
)
def test_a_wrong_value_is_reported_before_a_missing_yaml(tmp_path: Path, words: list[str]) -> None:
    done = tfs(tmp_path, *words)
    assert done.returncode == 2
    assert f"got {words[-1]!r}" in done.stderr


def test_without_a_yaml_the_way_that_needs_none_is_named(tmp_path: Path) -> None:
    assert "tfs serve PATH needs none" in tfs(tmp_path, "predict").stderr


@pytest.mark.parametrize("words", [["srve", "--json"], ["--json", "serve", "--folow"], ["status", "--json"]])
def test_an_error_is_a_json_document_where_json_was_wanted(tmp_path: Path, words: list[str]) -> None:
    done = tfs(tmp_path, *words)
    error = json.loads(done.stdout)["error"]
    assert error["code"] == done.returncode == 2
    assert set(error) == {"code", "what", "where", "evidence", "fix"}
    assert error["what"] in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["version"], "tfs 0."),
        (["help"], "tfs serve ./my_model"),
        (["help", "serve"], "--follow"),
        (["serve", "--help"], "--follow"),
        (["config"], "config.init"),
        (["image"], "image.build"),
        ([], "tfs serve ./my_model"),
    ],
)
def test_words_that_only_want_to_be_answered_are(tmp_path: Path, words: list[str], expected: str) -> None:
    done = tfs(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_the_help_fits_one_screen(tmp_path: Path) -> None:
    lines = tfs(tmp_path, "--help").stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert {verb for verb in VERBS if not any(line.strip().startswith(verb) for line in lines)} == set()


@pytest.mark.parametrize(("word", "meant"), [("teardwon", "teardown"), ("PREDICT", "predict"), ("qqqq", "")])
def test_the_nearest_verb_is_suggested(word: str, meant: str) -> None:
    assert meant_word(word, VERBS) == meant


def test_status_of_nothing_is_a_document(tmp_path: Path) -> None:
    assert tfs(tmp_path, "config.init").returncode == 0
    done = tfs(tmp_path, "status", "--json")
    assert json.loads(done.stdout)["running"] is False
    assert done.returncode == 5
