"""A front's process: holds connections, and has the engine answer their requests."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable

import uvloop

from tfs_workflow.modelserver.exchange import CORS
from tfs_workflow.modelserver.flags import FAILED
from tfs_workflow.modelserver.front import Front
from tfs_workflow.modelserver.link import held_requests, run_notes
from tfs_workflow.modelserver.link.front_side import FrontSide
from tfs_workflow.modelserver.link.held_table import HeldTable
from tfs_workflow.modelserver.processes import control, heartbeat, notes_file
from tfs_workflow.modelserver.processes.control import Control
from tfs_workflow.modelserver.processes.family import FrontStart

# A front counts its requests from its own number times this, so that no two in the family have the same number.
_NUMBERS = 2**40


def run(start: FrontStart, parent: Control) -> int:
    """Serve until the parent wants the end; returns the exit code."""
    signal.set_wakeup_fd(-1)
    control.follow_parent()
    gc.freeze()
    gc.set_threshold(20_000)
    uvloop.run(_FrontProcess(start, parent).serve())
    return 0


class _FrontProcess:
    """What a front does when the parent sends a command."""

    def __init__(self, start: FrontStart, parent: Control) -> None:
        self._start = start
        self._parent = parent
        self._ending = asyncio.Event()
        self._notes = memoryview(bytes(run_notes.SIZE_BYTES))

    async def serve(self) -> None:
        """Serve until the parent wants the end."""
        start, loop = self._start, asyncio.get_running_loop()
        flags = start.flags
        headers = CORS if flags.rest_api_enable_cors_support else b""
        held_bytes = start.shared.held_bytes.of(start.place, flags.max_held_bytes)
        table = HeldTable(flags.rest_api_timeout_in_ms, headers, start.counts, held_bytes)
        self._table = table
        self._side = side = FrontSide(start.serial * _NUMBERS, table)
        counts = [start.shared.open_counts.of(start.place, port) for port in range(2)]
        self._front = front = Front(flags, (side.answer_http, side.answer_grpc), start.access, counts, side.cancel)
        self._sweeps = [loop.create_task(front.sweep()), loop.create_task(self._sweep())]
        self._accepting: asyncio.Task[None] | None = None
        self._actions: dict[bytes, Callable[[list[int], int], object]] = {
            control.ENGINE: self._connect,
            control.ENDED: self._engine_ended,
            control.PAUSE: lambda *_: side.pause(),
            control.SERVE: self._serve,
            control.ANNOUNCE: lambda *_: front.announce(),
            control.END: self._end,
            # Without the parent nobody replaces an engine.
            b"": lambda *_: os._exit(FAILED),
        }
        loop.add_reader(self._parent.socket, self._on_command)
        await self._ending.wait()
        await front.drain()

    def _on_command(self) -> None:
        command, descriptors, argument = self._parent.receive()
        self._actions[command](descriptors, argument)

    def _connect(self, descriptors: list[int], _: int) -> None:
        small, large, notes = descriptors
        self._notes = notes_file.mapped(notes)
        self._side.connect(socket.socket(fileno=small), socket.socket(fileno=large))

    def _engine_ended(self, _: list[int], number: int) -> None:
        self._side.read_to_end()
        again = run_notes.to_run_again(self._notes)
        self._table.fail(run_notes.numbers_in(self._notes) - again, held_requests.engine_ended(number))
        self._side.run_alone(again)
        self._side.hold()

    def _serve(self, _: list[int], __: int) -> None:
        self._side.is_up = True
        if self._accepting is None:
            accepting = self._front.accept(self._start.listeners)
            self._accepting = asyncio.get_running_loop().create_task(accepting)

    async def _sweep(self) -> None:
        while True:
            heartbeat.beat(self._start.heartbeat)
            await asyncio.sleep(heartbeat.EVERY_S)
            self._side.sweep(time.monotonic())

    def _end(self, _: list[int], __: int) -> None:
        self._side.give_up()
        self._ending.set()
