"""Reads rows for prediction from JSON lines or a JSON document; errors carry line and column."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

from tfs_workflow.errors import PredictionFailedError, WorkflowError

LINE_SUFFIXES = (".jsonl", ".ndjson")
DOCUMENT_SUFFIXES = (".json",)
MAX_LINE_BYTES = 64 << 20
# What a row is in a file of another kind than JSON lines, for the error about one without rows.
_ROWS_OF = {
    ".csv": "the first line of a CSV file names the columns; each line after it is a row",
    ".json": 'give a JSON list of rows, or {"instances": […]}',
    ".npy": "the first dimension of the array is its rows, and its length is 0",
    ".npz": "the first dimension of each array is its rows, and its length is 0",
    ".parquet": "the table has columns only; write it with at least one row",
}
_BOM = b"\xef\xbb\xbf"
# A document starts with a bracket alone on its line, or with a request: no row that is an object lists instances.
_DOCUMENT_START = re.compile(
    rb'\s*(?:[\[{][ \t\r]*\n|\{\s*(?:"signature_name"\s*:\s*"[^"]*"\s*,\s*)?"instances"\s*:\s*\[)'
)


class MalformedInputError(PredictionFailedError):
    """The input is not JSON, or holds no rows."""


@dataclass(frozen=True)
class Batch:
    """Consecutive rows as JSON texts, and the numbers (of line or instance, from 1) of the first and the last."""

    numbers: tuple[int, ...]
    rows: tuple[bytes, ...]

    @property
    def first(self) -> int:
        """Number of the first row."""
        return self.numbers[0]

    @property
    def last(self) -> int:
        """Number of the last row."""
        return self.numbers[-1]

    def part(self, start: int, stop: int) -> Batch:
        """The rows from position `start` to before `stop`."""
        return Batch(self.numbers[start:stop], self.rows[start:stop])


@dataclass(frozen=True)
class JsonRequest:
    """A request as one JSON document: instances (row format) or inputs (column format)."""

    instances: list[Any] | None
    inputs: Any = None
    signature: str | None = None


def parse(text: str, name: str) -> Any:
    """The value of a JSON text (NaN and Infinity included); raises MalformedInputError with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _malformed(f"{name}:{error.lineno}:{error.colno}", error.msg, _around(text, error.pos)) from error
    except RecursionError as error:
        raise _malformed(name, "nested too deeply", "") from error


def json_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Line number and text of every line that is not blank.

    Raises MalformedInputError at the first line that is not JSON.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise _malformed(f"{name}:{number}", f"a line of more than {MAX_LINE_BYTES >> 20} MiB", "one row a line")
        row = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if row:
            _check_line(row, line, name, number)
            yield number, row


def batches(rows: Iterable[tuple[int, bytes]], max_rows: int, max_bytes: int) -> Iterator[Batch]:
    """The rows in order, in batches of at most `max_rows` rows and, unless one row alone is larger, `max_bytes`."""
    numbers: list[int] = []
    texts: list[bytes] = []
    size_bytes = 0
    try:
        for number, text in rows:
            if texts and (len(texts) >= max_rows or size_bytes + len(text) > max_bytes):
                yield Batch(tuple(numbers), tuple(texts))
                numbers, texts, size_bytes = [], [], 0
            numbers.append(number)
            texts.append(text)
            size_bytes += len(text)
    except WorkflowError:
        # The rows before a malformed one are valid: they are predicted before the error is raised.
        if texts:
            yield Batch(tuple(numbers), tuple(texts))
        raise
    if texts:
        yield Batch(tuple(numbers), tuple(texts))


def read_document(stream: BinaryIO, name: str) -> JsonRequest:
    """A request document: {"instances": …}, {"inputs": …} or a bare list of instances."""
    content = stream.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _malformed(f"{name}: byte {error.start}", "not UTF-8", "") from error
    if not text.strip():
        raise no_rows(name)
    return as_document(parse(text, name), name)


def as_document(value: Any, name: str) -> JsonRequest:
    """The request in a JSON value; raises MalformedInputError for a value of another form."""
    if isinstance(value, list):
        value = {"instances": value}
    if not isinstance(value, dict) or ("instances" in value) == ("inputs" in value):
        raise MalformedInputError(
            'expected a list of instances, {"instances": […]} or {"inputs": …}', where=name, evidence=_shortened(value)
        )
    instances = value.get("instances")
    if "instances" in value and not isinstance(instances, list):
        raise MalformedInputError(
            "expected instances to be a list, one value a row", where=name, evidence=_shortened(value)
        )
    if instances == []:
        raise no_rows(name)
    return JsonRequest(instances, value.get("inputs"), value.get("signature_name"))


def instance_rows(instances: Iterable[Any]) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and JSON text of each instance."""
    for number, instance in enumerate(instances, 1):
        yield number, json.dumps(instance).encode()


def is_document(stream: io.BufferedReader, name: str) -> bool:
    """Whether the input is one JSON document, not JSON lines: decided by its suffix, else by the start of its text."""
    if name.endswith((*LINE_SUFFIXES, *DOCUMENT_SUFFIXES)):
        return name.endswith(DOCUMENT_SUFFIXES)
    return _DOCUMENT_START.match(stream.peek(1).removeprefix(_BOM)) is not None


def no_rows(name: str) -> MalformedInputError:
    """The error for an input without a single row; the fix names what a row is in a file of this kind."""
    fix = _ROWS_OF.get(PurePath(name).suffix.lower(), "give one JSON value a line, one line a row")
    return MalformedInputError("no rows to predict", where=name, fix=fix)


def _check_line(row: bytes, line: bytes, name: str, number: int) -> None:
    try:
        json.loads(row.decode())
    except json.JSONDecodeError as error:
        indent = len(line) - len(line.lstrip())
        where = f"{name}:{number}:{error.pos + indent + 1}"
        raise _malformed(where, error.msg, _around(row.decode(), error.pos)) from error
    except UnicodeDecodeError as error:
        raise _malformed(f"{name}:{number}:{error.start + 1}", "not UTF-8", repr(row[:80])) from error
    except RecursionError as error:
        raise _malformed(f"{name}:{number}", "nested too deeply", "") from error


def _malformed(where: str, what: str, evidence: str) -> MalformedInputError:
    return MalformedInputError(f"malformed JSON: {what}", where=where, evidence=evidence)


def _around(text: str, position: int) -> str:
    """The text near a position, on one line."""
    return " ".join(text[max(0, position - 30) : position + 30].split())


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:79] + "…"
