"""The server in one process: engine and front on one event loop, with a graceful end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.access.access import Access, access_of
from tfs_workflow.modelserver.flags import FAILED, Flags, usage
from tfs_workflow.modelserver.front import Front
from tfs_workflow.modelserver.model_engine import ModelEngine, settle
from tfs_workflow.modelserver.net import announced, listeners
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.modelserver.tensorflow import capi


def run(flags: Flags) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    if flags.version:
        sys.stdout.write(f"TensorFlow ModelServer: 2.20.0 (tfs-workflow)\nTensorFlow Library: {capi.version()}\n")
        return 0
    flags.warn()
    if not flags.names_a_model:
        sys.stderr.write(usage("tensorflow_model_server"))
        return FAILED
    # Until something is served there is nothing to finish.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        access = access_of(flags)
        engine = ModelEngine(flags)
        engine.load()
        settle()
        uvloop.run(_serve(engine, flags, access))
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED
    return 0


async def _serve(engine: ModelEngine, flags: Flags, access: Access) -> None:
    """Answer requests until a signal comes, then finish what is in work; raises StatusError when it cannot listen."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    rest, grpc, _ = engine.apis()
    front = Front(flags, (rest, grpc), access)

    def announce() -> None:
        log.info("model_servers/server.cc", announced.LOGGED)
        front.announce()

    loop.add_signal_handler(signal.SIGUSR1, announce)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1,))
    await front.accept(listeners.bind(flags).listen())
    tasks = [loop.create_task(front.sweep()), loop.create_task(engine.watch_config())]
    await ending.wait()
    log.info("model_servers/server.cc", "Ending: no new connections; requests in work are finished.")
    await front.drain()
    for task in tasks:
        task.cancel()
    engine.stop()
