"""Sends batches of rows with several requests in flight, and yields the predictions in the rows' order."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from tfs_workflow.client.interface import JsonClient, ModelRef, RequestRejectedError, explain
from tfs_workflow.client.rows import Batch
from tfs_workflow.errors import PredictionFailedError, WorkflowError

Predictions = Generator[tuple[Batch, list[Any]], None, None]

IN_FLIGHT = 4
INTERRUPT_NOTICED_S = 0.5
# A row's position in an error (json_tensor.cc):
# `Failed to process element: 3 of 'instances'`, `at item 3 of input list`.
_POSITION = re.compile(r"element: (\d+) |at item (\d+) of")


class RowsRejectedError(RequestRejectedError):
    """The server rejected rows of an input: those from number `first` to `last`."""

    def __init__(self, error: RequestRejectedError, rows: Batch, where: str) -> None:
        super().__init__(error.server_text, error.status, where=where, evidence=error.evidence, fix=error.fix)
        self.first = rows.first
        self.last = rows.last
        if len(rows.rows) == 1:
            shown = rows.rows[0][:200].decode(errors="replace")
            self.evidence += f"; the row: {shown}{'…' if len(rows.rows[0]) > 200 else ''}"


@dataclass(frozen=True)
class RefusedRow:
    """Replaces the prediction of a row that the server rejected; holds the text of the server's error."""

    server_text: str


class RowStream:
    """Predicts the rows of one input; `name`, such as rows.jsonl, stands before row numbers in messages.

    With `skip_refused`, a row that the server rejects gets a RefusedRow, and the others of its batch are sent again.
    """

    def __init__(self, client: JsonClient, target: ModelRef, name: str, *, skip_refused: bool = False) -> None:
        self.client = client
        self.target = target
        self.name = name
        self.skip_refused = skip_refused

    def predictions(self, batches: Iterable[Batch], in_flight: int = IN_FLIGHT) -> Predictions:
        """Each batch with its predictions, in order.

        At most `in_flight` requests are in flight, and as many responses wait to be read. Raises RowsRejectedError,
        ServerUnreachableError or PredictionFailedError.
        """
        jobs: SimpleQueue[tuple[Batch, Future[list[Any]]] | None] = SimpleQueue()
        for number in range(in_flight):
            # Daemon threads: an interrupted process must not wait for their responses.
            threading.Thread(target=self._serve_jobs, args=(jobs,), name=f"predict-{number}", daemon=True).start()
        waiting: deque[tuple[Batch, Future[list[Any]]]] = deque()
        unread: list[WorkflowError] = []
        try:
            for batch in _until_malformed(batches, unread):
                waiting.append((batch, Future()))
                jobs.put(waiting[-1])
                if len(waiting) >= 2 * in_flight:
                    yield _finished(waiting)
            while waiting:
                yield _finished(waiting)
            if unread:
                raise unread[0]
        finally:
            for _, future in waiting:
                future.cancel()
            for _ in range(in_flight):
                jobs.put(None)

    def _serve_jobs(self, jobs: SimpleQueue[tuple[Batch, Future[list[Any]]] | None]) -> None:
        while (job := jobs.get()) is not None:
            batch, future = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._predict(batch))
                except BaseException as error:  # noqa: BLE001  # raised again where the result is taken
                    future.set_exception(error)

    def _predict(self, batch: Batch) -> list[Any]:
        try:
            return self._send(batch)
        except RequestRejectedError as error:
            culprit = self._culprit(batch, error) if error.status == 400 else batch
            if self.skip_refused and error.status == 400:
                return self._around(batch, culprit, error)
            explain(error, self.target, self.client.metadata, rows=True)
            raise RowsRejectedError(error, culprit, self._place(culprit)) from error
        except WorkflowError as error:
            error.where = f"{self._place(batch)}: {error.where}"
            raise

    def _around(self, batch: Batch, culprit: Batch, error: RequestRejectedError) -> list[Any]:
        """The predictions of a batch with the rejected row set aside; rows that fail only together are sent singly."""
        if len(batch.rows) == 1:
            return [RefusedRow(error.server_text)]
        if culprit == batch:
            return [one for i in range(len(batch.rows)) for one in self._predict(batch.part(i, i + 1))]
        position = batch.numbers.index(culprit.first)
        before = self._predict(batch.part(0, position)) if position else []
        after = self._predict(batch.part(position + 1, len(batch.rows))) if position + 1 < len(batch.rows) else []
        return [*before, RefusedRow(error.server_text), *after]

    def _send(self, batch: Batch) -> list[Any]:
        predictions = self.client.predict_rows(self.target, batch.rows)
        if len(predictions) != len(batch.rows):
            mismatch = f"{len(batch.rows)} rows were sent, {len(predictions) or 'no'} predictions returned"
            raise PredictionFailedError(mismatch, where=self.target.model)
        return predictions

    def _culprit(self, batch: Batch, error: RequestRejectedError) -> Batch:
        """The single row that caused the error: the row that the error names, else the first found by bisection.

        Rows that are rejected only together, such as rows of different shapes, stay a whole batch.
        """
        named = _POSITION.search(error.server_text)
        position = int(named.group(1) or named.group(2)) if named else len(batch.rows)
        if position < len(batch.rows):
            return batch.part(position, position + 1)
        while len(batch.rows) > 1:
            middle = len(batch.rows) // 2
            halves = batch.part(0, middle), batch.part(middle, len(batch.rows))
            refused = next((half for half in halves if self._is_refused(half)), None)
            if refused is None:
                return batch
            batch = refused
        return batch

    def _is_refused(self, batch: Batch) -> bool:
        try:
            self._send(batch)
        except RequestRejectedError:
            return True
        return False

    def _place(self, rows: Batch) -> str:
        numbers = f"row {rows.first}" if rows.first == rows.last else f"rows {rows.first}-{rows.last}"
        return f"{self.name}: {numbers}"


def _until_malformed(batches: Iterable[Batch], unread: list[WorkflowError]) -> Iterator[Batch]:
    """The batches; an error in the input is put into `unread`, and raised after the rows before it are predicted."""
    try:
        yield from batches
    except WorkflowError as error:
        unread.append(error)


def _finished(waiting: deque[tuple[Batch, Future[list[Any]]]]) -> tuple[Batch, list[Any]]:
    batch, future = waiting[0]
    # A wait without a timeout would miss a signal that arrives just before it.
    while not wait([future], INTERRUPT_NOTICED_S).done:
        pass
    predictions = future.result()
    waiting.popleft()
    return batch, predictions
