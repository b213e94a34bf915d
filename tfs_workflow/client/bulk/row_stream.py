"""Sends batches of rows with several requests in flight, and hands the predictions back in the rows' order."""

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
# How the server names a row (json_tensor.cc): `Failed to process element: 3 of 'instances'`, `at item 3 of input list`.
_POSITION = re.compile(r"element: (\d+) |at item (\d+) of")


class RowsRejectedError(RequestRejectedError):
    """The server refused rows of an input: those from number `first` to `last`."""

    def __init__(self, error: RequestRejectedError, rows: Batch, where: str) -> None:
        super().__init__(error.server_text, error.status, where=where, evidence=error.evidence, fix=error.fix)
        self.first = rows.first
        self.last = rows.last
        if len(rows.rows) == 1:
            shown = rows.rows[0][:200].decode(errors="replace")
            self.evidence += f"; the row: {shown}{'…' if len(rows.rows[0]) > 200 else ''}"


@dataclass(frozen=True)
class RefusedRow:
    """Stands in the place of a prediction for a row that the server refused, with the server's words."""

    server_text: str


class RowStream:
    """Predicts the rows of one input; `name` is what the rows' numbers are shown with, such as rows.jsonl.

    With `skip_refused`, a row that the server refuses gets a RefusedRow, and the others of its batch are sent again.
    """

    def __init__(self, client: JsonClient, target: ModelRef, name: str, *, skip_refused: bool = False) -> None:
        self.client = client
        self.target = target
        self.name = name
        self.skip_refused = skip_refused

    def predictions(self, batches: Iterable[Batch], in_flight: int = IN_FLIGHT) -> Predictions:
        """Each batch with its predictions, in order; raises RowsRejectedError, ServerUnreachableError or
        PredictionFailedError.

        At most `in_flight` requests are on their way and as many answers wait, whatever the number of batches.
        """
        jobs: SimpleQueue[tuple[Batch, Future[list[Any]]] | None] = SimpleQueue()
        for number in range(in_flight):
            # Daemons: an interrupted process does not stay for answers that nobody waits for.
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
            return self._ask(batch)
        except RequestRejectedError as error:
            culprit = self._culprit(batch, error) if error.status == 400 else batch
            if self.skip_refused and error.status == 400:
                return self._around(batch, culprit, error)
            explain(error, self.target, self.client.metadata)
            raise RowsRejectedError(error, culprit, self._place(culprit)) from error
        except WorkflowError as error:
            error.where = f"{self._place(batch)}: {error.where}"
            raise

    def _around(self, batch: Batch, culprit: Batch, error: RequestRejectedError) -> list[Any]:
        """The predictions of a batch with the refused row set aside; rows that only fail together are sent singly."""
        if len(batch.rows) == 1:
            return [RefusedRow(error.server_text)]
        if culprit == batch:
            return [one for i in range(len(batch.rows)) for one in self._predict(batch.part(i, i + 1))]
        position = batch.numbers.index(culprit.first)
        before = self._predict(batch.part(0, position)) if position else []
        after = self._predict(batch.part(position + 1, len(batch.rows))) if position + 1 < len(batch.rows) else []
        return [*before, RefusedRow(error.server_text), *after]

    def _ask(self, batch: Batch) -> list[Any]:
        predictions = self.client.predict_rows(self.target, batch.rows)
        if len(predictions) != len(batch.rows):
            came = f"{len(batch.rows)} rows were asked, {len(predictions) or 'no'} predictions came"
            raise PredictionFailedError(came, where=self.target.model)
        return predictions

    def _culprit(self, batch: Batch, error: RequestRejectedError) -> Batch:
        """The single row that is to blame: the one that the server names, else the first found by halving.

        Rows that are refused together only, such as rows of different shapes, stay a whole batch.
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
            self._ask(batch)
        except RequestRejectedError:
            return True
        return False

    def _place(self, rows: Batch) -> str:
        numbers = f"row {rows.first}" if rows.first == rows.last else f"rows {rows.first}-{rows.last}"
        return f"{self.name}: {numbers}"


def _until_malformed(batches: Iterable[Batch], unread: list[WorkflowError]) -> Iterator[Batch]:
    """The batches; an error in the input is kept, so that the predictions for the rows before it are not lost."""
    try:
        yield from batches
    except WorkflowError as error:
        unread.append(error)


def _finished(waiting: deque[tuple[Batch, Future[list[Any]]]]) -> tuple[Batch, list[Any]]:
    batch, future = waiting[0]
    # A signal that arrives just before a wait without end is only noticed after it.
    while not wait([future], INTERRUPT_NOTICED_S).done:
        pass
    predictions = future.result()
    waiting.popleft()
    return batch, predictions
