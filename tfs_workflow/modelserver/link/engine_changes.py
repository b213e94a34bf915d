"""What a front does when its engine changes: one has started, has ended, or gives way to a successor that serves.

When the engine ends, its sockets are read to their end first. Of the requests that are then without an answer, those
that ran fail, mates of a batch are to run again alone, and the rest waits for the next engine. With a switch nobody
waits: the engine before finishes what it has, and everything that comes goes to its successor.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from tfs_workflow.modelserver.link import held_requests, run_notes
from tfs_workflow.modelserver.link.front_side import FrontSide
from tfs_workflow.modelserver.link.held_requests import PROBES, HeldHttp
from tfs_workflow.modelserver.link.held_table import HeldTable
from tfs_workflow.modelserver.link.leaving_engine import LeavingEngine


class EngineChanges:
    """The engine that a front talks to, and the one before it, with what they note."""

    def __init__(self, side: FrontSide, table: HeldTable) -> None:
        self._side = side
        self._table = table
        self._notes = self._leaving_notes = memoryview(bytes(run_notes.SIZE_BYTES))
        self._leaving: LeavingEngine | None = None

    def connect(self, small: socket.socket, large: socket.socket, notes: memoryview) -> None:
        """Talk to an engine that is starting; it gets what is held."""
        self._notes = notes
        self._side.open(small, large)
        self._side.send_held(self._waiting())

    def turn(self, small: socket.socket, large: socket.socket, notes: memoryview) -> None:
        """Talk to an engine that serves; the one before finishes what it has."""
        channels = self._side.detach()
        self._leaving_notes, self._notes = self._notes, notes
        if channels is not None:
            self._leaving = LeavingEngine(channels, self._table.by_number, self._side.receive)
        self._side.open(small, large)

    def ended(self, number: int) -> None:
        """The engine has ended, by this signal or by itself (0): fail what ran, and wait for the next one."""
        for channel in self._side.detach() or ():
            channel.read_to_end()
            channel.close()
        self._side.is_up = False
        self._sort_out(self._notes, number)
        waiting = self._waiting()
        self._table.as_they_came(waiting)
        for one in waiting:
            held = self._table.by_number[one]
            if isinstance(held, HeldHttp) and held.request.target in PROBES:
                del self._table.by_number[one]
                self._table.release(held)
                held.reply(PROBES[held.request.target])
            else:
                self._table.expire_later(one, held)

    def leaving_ended(self, number: int) -> None:
        """The engine before has ended: what it left without an answer and did not run goes to its successor."""
        leaving, self._leaving = self._leaving, None
        if leaving is None:
            return
        leaving.read_to_end()
        left = self._sort_out(self._leaving_notes, number) | leaving.numbers
        waiting = [one for one in left if one in self._table.by_number]
        self._table.as_they_came(waiting)
        if self._side.is_connected:
            self._side.send_held(waiting)

    def _sort_out(self, notes: memoryview, number: int) -> set[int]:
        """Fail what ran; the new numbers of what is to run again alone."""
        again = run_notes.to_run_again(notes)
        self._table.fail(run_notes.numbers_in(notes) - again, held_requests.engine_ended(number))
        return self._table.run_alone(again)

    def _waiting(self) -> list[int]:
        """The numbers of what is held, but for what an engine that leaves has in work."""
        leaving: Iterable[int] = self._leaving.numbers if self._leaving is not None else ()
        return [number for number in self._table.by_number if number not in leaving]
