"""The engine's process: loads the models, then answers the fronts that the parent hands to it.

Started by the parent as `python -m tfs_workflow.modelserver.processes.engine_process CONTROL NOTES CONFIG COUNTS REGION
FLAGS…`. The first four are descriptors: its control socket, the file that run_notes.py notes in, the configuration of
the last reload, and what the whole server counts, of which this engine has a region.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable
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


class Kept(NamedTuple):
    """What outlives an engine: the configuration of the last reload, and all counts."""

    config: KeptConfig
    counts: SharedCounts
    region: int


def main() -> int:
    """Serve until the control socket ends; returns the exit code."""
    control.follow_parent()
    *descriptors, region = map(int, sys.argv[1:6])
    for descriptor in descriptors:
        # Not for what TensorFlow may start.
        os.set_inheritable(descriptor, False)
    parent = Control(socket.socket(fileno=descriptors[0]))
    content = notes_file.mapped(descriptors[1])
    notes = run_notes.attach(content)
    threading.Thread(target=heartbeat.beat_on, args=(run_notes.heartbeat_in(content),), daemon=True).start()
    counts = SharedCounts(notes_file.mapped(descriptors[3]))
    parsed = flags.parse(sys.argv[6:])

    def imported() -> Callable[[], int]:
        from tfs_workflow.modelserver import model_engine  # noqa: F401, PLC0415  # beside the load of the library

        return lambda: _run(parsed, parent, notes, Kept(KeptConfig(descriptors[2]), counts, region))

    return startup.with_library(imported, startup.ENGINE_EXTENSIONS)


def _run(parsed: Flags, parent: Control, notes: Numbers, kept: Kept) -> int:
    import uvloop  # noqa: PLC0415  # loaded with the engine

    from tfs_workflow.modelserver.model_engine import ModelEngine, settle  # noqa: PLC0415
    from tfs_workflow.modelserver.status_error import StatusError  # noqa: PLC0415

    try:
        engine = ModelEngine(parsed, kept.config, kept.counts, kept.region)
        engine.load()
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED
    settle()
    uvloop.run(_serve(engine, parent, notes))
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
