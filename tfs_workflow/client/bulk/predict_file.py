"""Predictions for a JSON text, a document, an image, or the rows of a file or of stdin."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from tfs_workflow.client import rows
from tfs_workflow.client.bulk.journal import DOCUMENT, LINES, LIST, REFUSED, Journal, LineFormat, check_places, encoded
from tfs_workflow.client.bulk.row_source import STDIN, numbered_rows, opened, signature_of
from tfs_workflow.client.bulk.row_stream import Predictions, RefusedRow, RowStream
from tfs_workflow.client.bulk.tables import is_table
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.client.rows import Batch, JsonRequest
from tfs_workflow.errors import ConfigError, WorkflowError

BATCH_ROWS = 512
BATCH_BYTES = 4 << 20
STDOUT = "-"
# A file up to this size is read twice: first to count its lines for the progress bar.
COUNTED_BYTES = 1 << 30

Progress = Callable[[int, "int | None"], object]


@dataclass(frozen=True)
class BulkOptions:
    """How the rows of a file are sent, and how the responses are written.

    `batch_rows` is the number of rows per request. With `skip_refused`, rows that the server rejects are written to
    `errors` and the run continues. `resume` skips the rows that an earlier run has finished. `id_field` names a field
    of each row that is not sent but copied beside its prediction.
    """

    batch_rows: int = BATCH_ROWS
    skip_refused: bool = False
    errors: str = ""
    resume: bool = False
    id_field: str = ""


def predict_text(client: JsonClient, target: ModelRef, *, instances: str = "", inputs: str = "") -> Any:
    """The predictions for --instances (a JSON list of rows) or the outputs for --inputs (a JSON value of columns).

    A text that begins with @ is the path of a file to read.
    """
    if instances:
        text, name = _text_of(instances, "--instances")
        return client.predict_document(target, rows.as_document({"instances": rows.parse(text, name)}, name))
    text, name = _text_of(inputs, "--inputs")
    return client.predict_document(target, JsonRequest(None, rows.parse(text, name)))


def predict_file(  # noqa: PLR0913  # an input, an output and the options between them
    client: JsonClient,
    target: ModelRef,
    source: str,
    output: str = "",
    *,
    bulk: BulkOptions = BulkOptions(),  # frozen
    progress: Progress | None = None,
) -> int:
    """Predict the rows of a file, or of stdin for `-`, into a file or to stdout; return the number of rows.

    JSON lines and tables (.npy, .npz, .csv, .parquet) are streamed in constant memory, and the output is JSON lines.
    The output for a JSON document is a list, or {"predictions": …} in a .json file. An output file appears only when
    it is whole; rows that were finished before a failure stay in the journal beside it. stdout is complete up to the
    row that an error names. `progress` is called with the numbers of rows done and in all, None where unknown. Raises
    MalformedInputError, RowsRejectedError, ServerUnreachableError, PredictionFailedError, and ConfigError for a file
    that cannot be used or options that exclude each other.
    """
    output = "" if output == STDOUT else output
    _check(source, output, bulk)
    name = "stdin" if source == STDIN else source
    with opened(source) as stream:
        if is_table(source) or not rows.is_document(stream, source):
            numbered = numbered_rows(source, stream, lambda: signature_of(client, target), bulk.id_field)
            form = DOCUMENT if output.endswith(rows.DOCUMENT_SUFFIXES) else LINES
        else:
            document = rows.read_document(stream, name)
            if document.instances is None:
                return _predict_columns(client, target, document, output)
            target = replace(target, signature=target.signature or document.signature)
            numbered = rows.instance_rows(document.instances)
            form = LINES if output.endswith(rows.LINE_SUFFIXES) else DOCUMENT if output else LIST
        sink = _Sink(client, target, name, bulk, _with_total(progress, source, stream))
        if output and (Path(output).is_file() or not Path(output).exists()):
            return sink.into_file(numbered, Path(output).resolve(), form)
        return sink.into_stream(numbered, output, form)


def _check(source: str, output: str, bulk: BulkOptions) -> None:
    if bulk.batch_rows < 1:
        raise ConfigError(f"expected at least one row a request, got {bulk.batch_rows}", where="--batch-rows")
    if bulk.resume and not output:
        raise ConfigError("--resume goes with --output", where="predict")
    if bulk.errors and not (bulk.skip_refused and output):
        raise ConfigError("--errors goes with --on-error skip and --output", where="predict")
    check_places(source, output)
    check_places(source, bulk.errors)


def _predict_columns(client: JsonClient, target: ModelRef, document: JsonRequest, output: str) -> int:
    answer = client.predict_document(target, document)
    with _written(output) as write:
        write(encoded({"outputs": answer} if output.endswith(rows.DOCUMENT_SUFFIXES) else answer) + b"\n")
    return 1


@dataclass(frozen=True)
class _Sink:
    """Writes the predictions of one input, in order."""

    client: JsonClient
    target: ModelRef
    name: str
    bulk: BulkOptions
    progress: Callable[[int], object]

    def into_stream(self, numbered: Iterator[tuple[int, bytes]], output: str, form: LineFormat) -> int:
        """Write to stdout, or to an output that is not a file, such as a pipe."""
        done = 0
        with _written(output) as write:
            try:
                for line in self._lines(numbered):
                    write((form.between if done else form.opening) + line)
                    done += 1
            except WorkflowError as error:
                write(b"\n" if done else b"")
                error.evidence = "; ".join(filter(None, (error.evidence, f"the output is complete for {done} rows")))
                raise
            if not done:
                raise rows.no_rows(self.name)
            write(form.closing)
        return done

    def into_file(self, numbered: Iterator[tuple[int, bytes]], output: Path, form: LineFormat) -> int:
        """Write the predictions to the journal, and rename it to the output when all are there."""
        with _write_errors(output):
            journal = Journal(output, resume=self.bulk.resume)
            with journal.opened() as file:
                for answered in self._answered(islice(numbered, journal.done, None)):
                    file.write(b"".join(line + b"\n" for line in answered))
                    file.flush()  # to the kernel: from here on these rows outlive this process
                    journal.done += len(answered)
                    self.progress(journal.done)
            if not journal.done:
                raise rows.no_rows(self.name)
            journal.finish(form, self.bulk.errors)
        return journal.done

    def _lines(self, numbered: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        done = 0
        for answered in self._answered(numbered):
            yield from (line for line in answered if not line.startswith(REFUSED))
            done += len(answered)
            self.progress(done)

    def _answered(self, numbered: Iterator[tuple[int, bytes]]) -> Iterator[list[bytes]]:
        """The lines of one batch after another."""
        ids: dict[int, Any] = {}
        sent = numbered if not self.bulk.id_field else _without_ids(numbered, self.bulk.id_field, ids, self.name)
        batches = rows.batches(sent, self.bulk.batch_rows, BATCH_BYTES)
        stream = RowStream(self.client, self.target, self.name, skip_refused=self.bulk.skip_refused)
        answers: Predictions = stream.predictions(batches)
        try:
            for batch, predictions in answers:
                yield [self._line(batch, i, one, ids) for i, one in enumerate(predictions)]
        finally:
            answers.close()

    def _line(self, batch: Batch, position: int, prediction: Any, ids: dict[int, Any]) -> bytes:
        number = batch.numbers[position]
        row_id = {"id": ids.pop(number)} if self.bulk.id_field else {}
        if isinstance(prediction, RefusedRow):
            row = json.loads(batch.rows[position])
            return REFUSED + encoded({"row": number} | row_id | {"error": prediction.server_text, "input": row})
        return encoded(row_id | {"prediction": prediction} if row_id else prediction)


def _without_ids(
    numbered: Iterator[tuple[int, bytes]], field: str, ids: dict[int, Any], name: str
) -> Iterator[tuple[int, bytes]]:
    """The rows without their id field, whose value is put into `ids` by row number.

    A single remaining field becomes a bare value.
    """
    for number, text in numbered:
        row = json.loads(text)
        if not isinstance(row, dict) or field not in row:
            raise rows.MalformedInputError(f"the row has no field {field!r}", where=f"{name}: row {number}")
        ids[number] = row.pop(field)
        yield number, json.dumps(next(iter(row.values())) if len(row) == 1 else row).encode()


def _text_of(text: str, option: str) -> tuple[str, str]:
    """The text, or the content of the file named after an @; and its name for messages."""
    if not text.startswith("@"):
        return text, option
    try:
        return Path(text[1:]).read_text(encoding="utf-8-sig"), text[1:]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot be read", where=text[1:], evidence=str(error), fix="name a JSON file") from error


def _with_total(progress: Progress | None, source: str, stream: BinaryIO) -> Callable[[int], object]:
    if progress is None:
        return lambda _: None
    total = _count_lines(source, stream)
    return lambda done: progress(done, total)


def _count_lines(source: str, stream: BinaryIO) -> int | None:
    """The number of lines of a file that is small enough to read twice; None for any other."""
    if source == STDIN or not source.endswith((*rows.LINE_SUFFIXES, ".csv")):
        return None
    if not os.path.isfile(source) or os.fstat(stream.fileno()).st_size > COUNTED_BYTES:  # noqa: PTH113
        return None
    with Path(source).open("rb") as lines:
        return sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))


@contextmanager
def _written(output: str) -> Iterator[Callable[[bytes], object]]:
    """A file for one document, or stdout."""
    if output:
        with _write_errors(Path(output)), Path(output).open("wb") as file:
            yield file.write
        return
    try:
        yield sys.stdout.buffer.write
    finally:
        sys.stdout.buffer.flush()


@contextmanager
def _write_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(output)) from error
