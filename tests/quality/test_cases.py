"""Golden cases are read whole or refused with the line, and written whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfs_workflow.client.rows import MalformedInputError
from tfs_workflow.errors import ConfigError
from tfs_workflow.quality.cases import Case, read_cases, write_cases

GOOD = '{"request": {"instances": [1.0]}, "response": {"predictions": [2.5]}}\n'


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = str(tmp_path / "cases.jsonl")
    cases = [
        Case({"signature_name": "s", "inputs": {"x": "ü"}}, f"{path}:1", {"outputs": {"y": 1.0}}),
        Case({"examples": [{"x": 1.0}]}, f"{path}:2", {"results": [0.5]}),
    ]
    write_cases(path, cases)
    assert read_cases(path) == cases
    assert [case.signature for case in cases] == ["s", ""]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "malformed JSON"),
        ("[1.0]", "an object with a request"),
        ('{"response": {}}', "an object with a request"),
        ('{"request": {"instances": [1]}, "respond": 1}', "an object with a request"),
        ('{"request": {"instances": [1], "inputs": 1}}', "a request with one of instances, inputs, examples"),
        ('{"request": [1.0]}', "a request with one of"),
        ('{"request": {"instances": []}}', "instances to be a list"),
        ('{"request": {"instances": 1.0}}', "instances to be a list"),
        ('{"request": {"instances": [1], "signature_name": 1}}', "the name of a signature"),
        ('{"request": {"instances": [1]}, "response": [2.5]}', "a response with one of"),
        ('{"request": {"instances": [1]}, "response": {"error": "no"}}', "a response with one of"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(GOOD + line + "\n")
    with pytest.raises(MalformedInputError) as caught:
        read_cases(str(path))
    assert f"{path}:2" in str(caught.value)
    assert words in str(caught.value)


def test_a_file_without_cases_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(MalformedInputError, match="no golden cases"):
        read_cases(str(tmp_path / "empty.jsonl"))
    with pytest.raises(ConfigError, match="verify --record writes it"):
        read_cases(str(tmp_path / "none.jsonl"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cases(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be written"):
        write_cases(str(tmp_path / "nowhere" / "cases.jsonl"), [])
