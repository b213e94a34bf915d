"""A front's process: holds connections, and has the engine answer their requests."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable

import uvloop

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.flags import FAILED, Flags
from tfs_workflow.modelserver.front import Front, tls_context
from tfs_workflow.modelserver.link.front_side import FrontSide
from tfs_workflow.modelserver.listeners import Listeners
from tfs_workflow.modelserver.processes import control
from tfs_workflow.modelserver.processes.control import Control
from tfs_workflow.modelserver.status_error import StatusError


def run(flags: Flags, listeners: Listeners, parent: Control) -> int:
    """Serve until the parent wants the end; returns the exit code."""
    signal.set_wakeup_fd(-1)
    control.follow_parent()
    gc.freeze()
    gc.set_threshold(20_000)
    try:
        uvloop.run(_serve(flags, listeners, parent))
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED
    return 0


async def _serve(flags: Flags, listeners: Listeners, parent: Control) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    side = FrontSide()
    front = Front(flags, side.answer_http, side.answer_grpc)
    tls = tls_context(flags)
    tasks = [loop.create_task(front.sweep())]
    actions: dict[bytes, Callable[[], object]] = {
        control.SERVE: lambda: tasks.append(loop.create_task(front.accept(listeners, tls))),
        control.END: ending.set,
        # Without the parent nobody replaces an engine.
        b"": lambda: os._exit(FAILED),
    }

    def on_command() -> None:
        command, passed = parent.receive()
        if command == control.ENGINE:
            side.connect(*passed)
        else:
            actions[command]()

    loop.add_reader(parent.socket, on_command)
    await ending.wait()
    await front.drain()
