"""The choice of the HTTP server: the same handler, which runs the model in place, behind each of the candidates.

python -m benchmarks.modelserver.http_servers --python PYTHON [--seconds 3]

Medians of alternating rounds.

PYTHON has granian, uvicorn[standard], httptools, uvloop, cffi, numpy, orjson, protobuf and the tensorflow-cpu wheel.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.modelserver.load import BUNDLED, alternating, instances, median, ours, started, table
from tests.support.modelserver.running import free_port

PATH = "/v1/models/half_plus_two:predict"
BODY = instances(1.0, 2.0, 5.0)
HANDLER = """
import sys, numpy, orjson
from pathlib import Path
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.modelserver.tensorflow.session import CALLERS_THREAD, Session
from tfs_workflow.protos.session_pb2 import ConfigProto
capi.load()
session = Session(Path(sys.argv[2]), ["serve"], ConfigProto())
options = CALLERS_THREAD.SerializeToString()

def answer(body):
    array = numpy.array(orjson.loads(body)["instances"], numpy.float32)
    (output,) = session.run([("x:0", Tensor(1, array.shape, array))], ["y:0"], options)
    return b'{"predictions": ' + orjson.dumps(output.values, option=orjson.OPT_SERIALIZE_NUMPY) + b"}"
"""
SERVERS = {
    "uvicorn (ASGI)": """
import uvicorn
async def app(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer(body)})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", lifespan="off", http="httptools")
""",
    "granian (RSGI)": """
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
async def app(scope, protocol):
    protocol.response_bytes(200, [("content-type", "application/json")], answer(await protocol()))
server = Server(app, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.RSGI, log_enabled=False)
uvloop.run(server.serve())
""",
    "httptools on uvloop": """
import asyncio, httptools, uvloop
class Connection(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.parser = transport, httptools.HttpRequestParser(self)
    def data_received(self, data): self.parser.feed_data(data)
    def on_body(self, body): self.body = body
    def on_message_complete(self):
        text = answer(self.body)
        head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text)
        self.transport.write(head + text)
async def main():
    await (await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]))).serve_forever()
uvloop.run(main())
""",
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="an interpreter with all candidates")
    parser.add_argument("--seconds", type=int, default=3, help="length of each load, in seconds")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    rows = []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        for i, (name, code) in enumerate(SERVERS.items()):
            script = scratch / f"{i}.py"
            script.write_text(HANDLER + code)
            port = free_port()
            command = [options.python, str(script), str(port), str(BUNDLED / "00000123")]
            servers.append(stack.enter_context(started(name, command, port, PATH, BODY)))
        servers.append(stack.enter_context(ours("half_plus_two", BUNDLED, BODY)))
        for server in servers:
            server.load(PATH, BODY, 4, 1)
        seconds = options.seconds
        columns = [map(median, alternating(servers, PATH, BODY, connections, seconds)) for connections in (1, 16, 64)]
        for server, loads in zip(servers, zip(*columns, strict=True), strict=True):
            figures = [f"{loads[0].p50_ms:.2f} ms", *(f"{load.per_second:.0f}" for load in loads)]
            rows.append([server.name, *figures, f"{loads[-1].processor_us:.0f} µs", f"{server.memory_mb():.0f} MB"])
    print(table(["server", "p50, 1 conn.", "req/s, 1", "req/s, 16", "req/s, 64", "processor/request", "memory"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
