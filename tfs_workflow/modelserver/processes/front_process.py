"""A front's process: holds connections, and has the engine answer their requests."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial

import uvloop

from tfs_workflow.modelserver.exchange import CORS
from tfs_workflow.modelserver.flags import FAILED
from tfs_workflow.modelserver.front import Front
from tfs_workflow.modelserver.link.engine_changes import EngineChanges
from tfs_workflow.modelserver.link.front_side import FrontSide
from tfs_workflow.modelserver.link.held_table import HeldTable
from tfs_workflow.modelserver.processes import control, heartbeat, notes_file
from tfs_workflow.modelserver.processes.control import Control
from tfs_workflow.modelserver.processes.family import FrontStart

# A front counts its requests from its own number times this, so that no two in the family have the same number.
_NUMBERS = 2**40

# How to take up an engine's two connections and its notes.
Connect = Callable[[socket.socket, socket.socket, memoryview], None]


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

    async def serve(self) -> None:
        """Serve until the parent wants the end."""
        start, loop = self._start, asyncio.get_running_loop()
        flags = start.flags
        headers = CORS if flags.rest_api_enable_cors_support else b""
        held_bytes = start.shared.held_bytes.of(start.place, flags.max_held_bytes)
        table = HeldTable(flags.rest_api_timeout_in_ms, headers, start.counts, held_bytes)
        self._side = side = FrontSide(start.serial * _NUMBERS, table)
        changes = EngineChanges(side, table)
        counts = [start.shared.open_counts.of(start.place, port) for port in range(2)]
        self._front = front = Front(flags, (side.answer_http, side.answer_grpc), start.access, counts, side.cancel)
        self._sweeps = [loop.create_task(front.sweep()), loop.create_task(self._sweep())]
        self._accepting: asyncio.Task[None] | None = None
        self._actions: dict[bytes, Callable[[list[int], int], object]] = {
            control.ENGINE: partial(self._connect, changes.connect),
            control.TURN: partial(self._connect, changes.turn),
            control.ENDED: lambda _, number: changes.ended(number),
            control.LEFT: lambda _, number: changes.leaving_ended(number),
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

    def _connect(self, connect: Connect, descriptors: list[int], _: int) -> None:
        small, large, notes = descriptors
        connect(socket.socket(fileno=small), socket.socket(fileno=large), notes_file.mapped(notes))

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
