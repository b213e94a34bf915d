"""The engine's process: loads the models, then answers the fronts that the parent hands to it.

Started as `python -m tfs_workflow.modelserver.processes.engine_process DESCRIPTOR`, its control socket. It opens
TensorFlow's library, and hears there what to serve (control.BEGIN).
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfs_workflow.modelserver import flags, log
from tfs_workflow.modelserver.flags import FAILED, Flags
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.link.run_notes import Numbers
from tfs_workflow.modelserver.metrics.counts import SharedCounts
from tfs_workflow.modelserver.processes import control, heartbeat, notes_file
from tfs_workflow.modelserver.processes.control import Control
from tfs_workflow.modelserver.processes.kept_config import KeptConfig
from tfs_workflow.modelserver.tensorflow import startup

if TYPE_CHECKING:
    from tfs_workflow.modelserver.model_engine import ModelEngine


class Task(NamedTuple):
    """What an engine is to serve, where it notes its runs, and what outlives it."""

    flags: Flags
    notes: Numbers
    kept_config: KeptConfig
    counts: SharedCounts
    region: int


def main() -> int:
    """Serve until the control socket ends; returns the exit code."""
    control.follow_parent()
    parent = Control(socket.socket(fileno=int(sys.argv[1])))
    # Not for what TensorFlow may start.
    os.set_inheritable(parent.socket.fileno(), False)

    def imported() -> Callable[[], int]:
        from tfs_workflow.modelserver import model_engine  # noqa: F401, PLC0415  # beside the load of the library

        task = _task(parent)
        return lambda: _run(task, parent)

    return startup.with_library(imported, startup.ENGINE_EXTENSIONS)


def _task(parent: Control) -> Task:
    """Wait for it; ends the process where the control socket ends instead."""
    command, descriptors, region = parent.receive()
    if not command:
        os._exit(0)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    notes, config, counts, arguments, *outputs = descriptors
    if outputs:
        _write_to(outputs)
    content = notes_file.mapped(notes)
    threading.Thread(target=heartbeat.beat_on, args=(run_notes.heartbeat_in(content),), daemon=True).start()
    parsed = flags.parse(notes_file.content_of(arguments).decode().split("\0"))
    counted = SharedCounts(notes_file.mapped(counts))
    return Task(parsed, run_notes.attach(content), KeptConfig(config), counted, region)


def _write_to(outputs: Sequence[int]) -> None:
    """Take the server's outputs, and write there what the library has said so far."""
    said = notes_file.content_of(os.dup(2))
    for standard, descriptor in zip((1, 2), outputs, strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.write(2, said)


def _run(task: Task, parent: Control) -> int:
    import uvloop  # noqa: PLC0415  # loaded with the engine

    from tfs_workflow.modelserver.model_engine import ModelEngine, settle  # noqa: PLC0415
    from tfs_workflow.modelserver.status_error import StatusError  # noqa: PLC0415

    try:
        engine = ModelEngine(task.flags, task.kept_config, task.counts, task.region)
        engine.load()
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED
    settle()
    uvloop.run(_serve(engine, parent, task.notes))
    return 0


async def _serve(engine: ModelEngine, parent: Control, notes: Numbers) -> None:
    from tfs_workflow.modelserver.link.engine_side import EngineSide  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    side = EngineSide(*engine.apis(), notes, run_notes.place())

    def on_command() -> None:
        command, passed, _ = parent.receive()
        if command == control.FRONT:
            side.add(*(socket.socket(fileno=descriptor) for descriptor in passed))
        elif command == control.LEAVE:
            side.when_left(ending.set)
        elif not command:
            loop.remove_reader(parent.socket)
            ending.set()

    loop.add_reader(parent.socket, on_command)
    parent.send(control.AVAILABLE)
    watching = loop.create_task(engine.watch_config())
    await ending.wait()
    watching.cancel()
    engine.stop()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of TensorFlow still run; taking the library down under them would end in a crash.
    os._exit(code)
