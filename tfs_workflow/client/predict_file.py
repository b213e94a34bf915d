"""Predictions for what a user hands over: a JSON text, a document, or rows in a file or on stdin."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfs_workflow.client import rows
from tfs_workflow.client.interface import JsonClient, Target
from tfs_workflow.client.rows import Document
from tfs_workflow.client.streaming import Predictions, RowStream
from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.state.atomic_file import writing_whole

BATCH_ROWS = 512
BATCH_BYTES = 4 << 20
STDIN = STDOUT = "-"


@dataclass(frozen=True)
class _Format:
    """How predictions are written one after another."""

    opening: bytes
    between: bytes
    closing: bytes


_LINES = _Format(b"", b"\n", b"\n")
_LIST = _Format(b"[", b", ", b"]\n")
_DOCUMENT = _Format(b'{"predictions": [', b",\n", b"]}\n")


def predict_text(client: JsonClient, target: Target, *, instances: str = "", inputs: str = "") -> Any:
    """The predictions for --instances (a JSON list of rows) or the outputs for --inputs (a JSON value of columns)."""
    if instances:
        document = rows.as_document({"instances": rows.parse(instances, "--instances")}, "--instances")
    else:
        document = Document(None, rows.parse(inputs, "--inputs"))
    return client.predict_document(target, document)


def predict_file(  # noqa: PLR0913  # an input, an output and how to go between them
    client: JsonClient,
    target: Target,
    source: str,
    output: str = "",
    *,
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Predict the rows of a file, or of stdin for `-`, into a file or to stdout; the number of rows.

    JSON lines are streamed in constant memory and answered by JSON lines; a JSON document is answered by a list, or
    by {"predictions": …} in a .json file. A file appears only when it is whole; what reached stdout is complete up to
    the row that an error names. `progress` is called with the number of rows that are done. Raises InputMalformed,
    RowsRefused, NothingAnswers, PredictionFailed, and ConfigError for a file that cannot be used.
    """
    if batch_rows < 1:
        raise ConfigError(f"expected at least one row a request, got {batch_rows}", where="--batch-rows")
    name = "stdin" if source == STDIN else source
    output = "" if output == STDOUT else output
    with _opened(source) as stream, _written(output) as write:
        if not rows.is_document(stream, source):
            numbered = rows.json_lines(stream, name)
            form = _DOCUMENT if output.endswith(rows.DOCUMENT_SUFFIXES) else _LINES
        else:
            document = rows.read_document(stream, name)
            if document.instances is None:
                answer = client.predict_document(target, document)
                write(_encoded({"outputs": answer} if output.endswith(rows.DOCUMENT_SUFFIXES) else answer) + b"\n")
                return 1
            target = replace(target, signature=target.signature or document.signature)
            numbered = rows.instance_rows(document.instances)
            form = _LINES if output.endswith(rows.LINE_SUFFIXES) else _DOCUMENT if output else _LIST
        batches = rows.batches(numbered, batch_rows, BATCH_BYTES)
        sink = _Sink(form, write, bool(output), progress or (lambda _: None))
        return sink.take(RowStream(client, target, name).predictions(batches), name)


@dataclass(frozen=True)
class _Sink:
    """Where the predictions of one input go, one after another."""

    form: _Format
    write: Callable[[bytes], object]
    whole: bool
    progress: Callable[[int], object]

    def take(self, answers: Predictions, name: str) -> int:
        done = 0
        try:
            for batch, predictions in answers:
                opening = self.form.between if done else self.form.opening
                self.write(opening + self.form.between.join(map(_encoded, predictions)))
                done += len(batch.rows)
                self.progress(done)
        except WorkflowError as error:
            if not self.whole:
                self.write(b"\n" if done else b"")
                error.evidence = "; ".join(filter(None, (error.evidence, f"the output is complete for {done} rows")))
            raise
        finally:
            answers.close()
        if not done:
            raise rows.no_rows(name)
        self.write(self.form.closing)
        return done


def _encoded(value: Any) -> bytes:
    # A lone surrogate, which UTF-8 cannot hold, becomes the escape that JSON has for it.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


@contextmanager
def _opened(source: str) -> Iterator[io.BufferedReader]:
    """The bytes of a file or of stdin."""
    if source == STDIN:
        yield sys.stdin.buffer  # type: ignore[misc]  # a BufferedReader, whatever typeshed calls it
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115  # closed below; only the opening is translated
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=source, fix="name a file, or - for stdin"
        ) from error
    with stream:
        yield stream


@contextmanager
def _written(output: str) -> Iterator[Callable[[bytes], object]]:
    """Where predictions go: a file that appears when it is whole, or stdout as they come."""
    if not output:
        try:
            yield sys.stdout.buffer.write
        finally:
            sys.stdout.buffer.flush()
        return
    try:
        with writing_whole(Path(output)) as file:
            yield file.write
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=output) from error
