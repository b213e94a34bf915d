"""How rows are read: JSON lines, documents, batches, and what is malformed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfs_workflow.client.rows import (
    MAX_LINE_BYTES,
    MalformedInputError,
    as_document,
    batches,
    is_document,
    json_lines,
    parse,
    read_document,
)


def lines(content: bytes) -> list[tuple[int, bytes]]:
    return list(json_lines(io.BytesIO(content), "rows.jsonl"))


def test_lines_keep_their_numbers_and_their_text() -> None:
    assert lines(b"\xef\xbb\xbf1.50\n\n  NaN \r\n[1,\t2]") == [(1, b"1.50"), (3, b"NaN"), (4, b"[1,\t2]")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"1\n[1, 2\n", "rows.jsonl:2:6: malformed JSON: "),
        (b"1\n  nope\n", "rows.jsonl:2:3: malformed JSON: "),
        (b"1, 2\n", "rows.jsonl:1:2: malformed JSON: Extra data"),
        (b"1]}\n", "rows.jsonl:1:2: malformed JSON: Extra data"),
        (b'1\n"a\xff"\n', "rows.jsonl:2:3: malformed JSON: not UTF-8"),
        (b"[" * 100_000, "rows.jsonl:1: malformed JSON: nested too deeply"),
    ],
)
def test_a_malformed_line_is_named(content: bytes, expected: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        lines(content)
    assert str(caught.value).startswith(expected)
    assert caught.value.exit_code == 6


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(MalformedInputError, match="a line of more than 64 MiB"):
        lines(b'"' + b"a" * MAX_LINE_BYTES + b'"')


@given(st.lists(st.integers(0, 40)), st.integers(1, 7), st.integers(1, 60))
def test_batches_hold_every_row_once_in_order_and_within_both_bounds(sizes: list[int], rows: int, size: int) -> None:
    numbered = [(number, b"x" * size) for number, size in enumerate(sizes, 1)]
    made = list(batches(numbered, rows, size))
    assert [pair for b in made for pair in zip(b.numbers, b.rows, strict=True)] == numbered
    assert all(len(b.rows) <= rows for b in made)
    assert all(len(b.rows) == 1 or sum(map(len, b.rows)) <= size for b in made)


@pytest.mark.parametrize("text", ["[1, 2]", '{"instances": [1, 2]}', ' {"instances":[1,2],"signature_name":"s"}'])
def test_documents_in_row_format(text: str) -> None:
    assert read_document(io.BytesIO(text.encode()), "d.json").instances == [1, 2]


def test_documents_in_column_format() -> None:
    document = as_document({"inputs": {"a": [1]}, "signature_name": "s"}, "d.json")
    assert (document.instances, document.inputs, document.signature) == (None, {"a": [1]}, "s")


@pytest.mark.parametrize("text", ["3", "{}", '{"instances": [1], "inputs": 2}', '{"instances": 3}', "", "[]"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(MalformedInputError, match=r"d\.json"):
        read_document(io.BytesIO(text.encode()), "d.json")


def test_a_malformed_document_is_named_by_line_and_column() -> None:
    with pytest.raises(MalformedInputError, match=r"d\.json:3:3: malformed JSON"):
        read_document(io.BytesIO(b"[\n  1,\n  x\n]"), "d.json")
    with pytest.raises(MalformedInputError, match=r"--instances:1:4: malformed JSON"):
        parse("[1,", "--instances")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", "[\n", False),
        ("a.ndjson", "[\n", False),
        ("a.json", "1", True),
        ("-", "1.0\n2.0\n", False),
        ("-", "[1, 2]\n[3, 4]\n", False),
        ("-", '{"x": 1}\n{"x": 2}\n', False),
        ("-", '{"inputs": "a"}\n', False),
        ("-", '{"instances": [1, 2', True),
        ("-", '{"signature_name": "s", "instances": [1]}', True),
        ("-", '{\n  "inputs": [1]\n}', True),
        ("-", "[\n 1,\n 2]", True),
        ("rows.txt", "1\n", False),
    ],
)
def test_the_format_is_told_by_the_suffix_else_by_the_start(
    tmp_path: Path, name: str, content: str, expected: bool
) -> None:
    path = tmp_path / "input"
    path.write_text(content)
    with path.open("rb") as stream:
        assert is_document(stream, name) is expected
        assert stream.read() == content.encode()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_value_is_a_row(value: object) -> None:
    text = json.dumps(value).encode()
    assert lines(text) == [(1, text)]
