"""Counts the requests that reach the engine as they came: python -m tests.support.modelserver.as_it_came MODEL FRONTS.

A front and an engine in one process, over real sockets. Prints, for a large array sent five times in turn, how many the
engine had to read itself, and the statuses of the responses.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from tfs_workflow.modelserver import flags
from tfs_workflow.modelserver.exchange import HttpReply, Request, Response
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.link.engine_side import EngineSide
from tfs_workflow.modelserver.link.front_side import FrontSide
from tfs_workflow.modelserver.link.held_bytes import HeldBytes
from tfs_workflow.modelserver.link.held_table import HeldTable
from tfs_workflow.modelserver.metrics.counts import Counts
from tfs_workflow.modelserver.model_engine import ModelEngine
from tfs_workflow.modelserver.tensorflow import capi

BODY = json.dumps({"instances": [number / 7 for number in range(1000)]}).encode()


async def sent(engine: ModelEngine) -> tuple[int, list[int]]:
    """The number of requests that came whole, and every status."""
    rest, grpc, cancel = engine.apis()
    whole: list[Request] = []

    def counted(request: Request, reply: HttpReply) -> None:
        whole.append(request)
        rest(request, reply)

    notes = run_notes.attach(memoryview(bytearray(run_notes.SIZE_BYTES)))
    engine_side = EngineSide(counted, grpc, cancel, notes, run_notes.place())
    front = FrontSide(0, HeldTable(30_000, b"", Counts(memoryview(bytearray(4096))), HeldBytes(1).of(0, 2**20)))
    pairs = socket.socketpair(), socket.socketpair()
    engine_side.add(*(pair[1] for pair in pairs))
    front.open(*(pair[0] for pair in pairs))
    statuses = []
    for _ in range(5):
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        front.answer_http(Request("POST", b"/v1/models/m:predict", {}, BODY, keep_alive=True), answered.set_result)
        statuses.append((await answered).status)
    return len(whole), statuses


def main() -> None:
    """Print the two as JSON."""
    capi.load()
    parsed = flags.parse(["--model_name=m", f"--model_base_path={sys.argv[1]}", f"--fronts={sys.argv[2]}"])
    engine = ModelEngine(parsed)
    engine.load()
    print(json.dumps(asyncio.run(sent(engine))), flush=True)
    # Threads of TensorFlow still run.
    os._exit(0)


if __name__ == "__main__":
    main()
