"""Throws bytes at the embedded server: paths, headers, JSON, protobuf and HTTP/2 frames, generated and mutated."""

from __future__ import annotations

import json
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import ngh2
import psutil

from tests.support.modelserver.running import serving
from tfs_workflow.protos import serving_apis_pb2 as apis

SEEDS = [
    b'{"instances":[1.0,2.0,5.0]}',
    b'{"signature_name":"serving_default","inputs":{"x":[[1,2],[3,4]]}}',
    b'{"instances":[{"x":1.0},{"x":{"b64":"YWJj"}}]}',
    b'{"examples":[{"x":1.0,"s":["a"],"n":[1,2]}],"context":{"x":2}}',
    b'{"instances":[NaN,-Infinity,1e400,"\\ud800",null,true]}',
]
PATHS = [
    "",
    ":predict",
    ":classify",
    ":regress",
    "/metadata",
    "/versions/123",
    "/labels/x:predict",
    "/versions/1:predict",
]
HEADERS = [b"Content-Length: %d", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Expect: 100-continue"]
HEADERS += [b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Origin: http://a", b"X: " + b"y" * 500]
METHODS = [b"POST", b"POST", b"POST", b"GET", b"PUT", b"OPTIONS", b"HEAD", b"FOO", b""]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with a few bytes changed, doubled, dropped or put in."""
    made = bytearray(content)
    for _ in range(chance.randrange(0, 6)):
        at = chance.randrange(len(made) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            made[at:at] = bytes(chance.choices(b'[]{}",:\\u0\x00\xff1e9-.tfnNI\r\n%', k=chance.randrange(1, 8)))
        elif kind == 1 and made:
            del made[at : at + chance.randrange(1, 8)]
        elif kind == 2:
            made[at:at] = made[at : at + chance.randrange(1, 40)]
        elif made:
            made[at % len(made)] = chance.randrange(256)
    return bytes(made)


def http_request(chance: random.Random) -> bytes:
    """A request that may be one."""
    body = mutated(chance.choice(SEEDS), chance)
    target = f"/v1/models/half_plus_two{chance.choice(PATHS)}".encode()
    headers = [chance.choice(HEADERS) for _ in range(chance.randrange(3))]
    lines = [line % len(body) if b"%d" in line else line for line in [HEADERS[0], *headers]]
    head = b"%s %s HTTP/1.%d\r\n" % (chance.choice(METHODS), target, chance.choice([1, 1, 1, 0, 9]))
    request = head + b"\r\n".join(lines) + b"\r\n\r\n" + body
    return mutated(request, chance) if chance.random() < 0.5 else request


def proto_request(chance: random.Random) -> bytes:
    """A PredictRequest that may be one."""
    request = apis.PredictRequest(model_spec={"name": chance.choice(["half_plus_two", "", "x"])})
    tensor = request.inputs[chance.choice(["x", "y"])]
    tensor.dtype = chance.choice([1, 1, 1, 2, 7, 19, 20, 101])  # type: ignore[assignment]  # protobuf takes numbers
    for _ in range(chance.randrange(4)):
        tensor.tensor_shape.dim.add(size=chance.choice([0, 1, 2, 3, -1, 2**40]))
    if chance.random() < 0.5:
        tensor.tensor_content = chance.randbytes(chance.randrange(20))
    tensor.float_val.extend(chance.random() for _ in range(chance.randrange(4)))
    return mutated(request.SerializeToString(), chance)


def http2_exchange(chance: random.Random) -> bytes:
    """What a gRPC client sends to open a connection and ask, that may be right."""
    session = ngh2.Connection(ngh2.Role.CLIENT)
    session.initiate_connection()
    method = chance.choice(["Predict", "Predict", "Classify", "Nope"])
    head = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x")]
    head += [(b":path", f"/tensorflow.serving.PredictionService/{method}".encode())]
    head += [(b"content-type", b"application/grpc"), (b"grpc-timeout", chance.choice([b"1S", b"9", b"1n"]))]
    for _ in range(chance.randrange(1, 4)):
        message = proto_request(chance)
        stream = session.send_request(head)
        framed = struct.pack(">BI", chance.choice([0, 0, 0, 1, 7]), len(message)) + message
        session.send_data(stream, framed, end_stream=chance.random() < 0.9)
    wire = session.data_to_send()
    return mutated(wire, chance) if chance.random() < 0.7 else wire


def throw(port: int, request: bytes) -> None:
    """Send, and take what comes until it ends or pauses."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def is_right(port: int) -> bool:
    """Whether the server still predicts."""
    body = SEEDS[0]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return bool(json.loads(answer.partition(b"\r\n\r\n")[2]) == {"predictions": [2.5, 3.0, 4.5]})


def rpc_thrower(port: int) -> Callable[[bytes], None]:
    """Sends bytes to Predict over one channel."""
    import grpc  # noqa: PLC0415  # slow to import

    call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/tensorflow.serving.PredictionService/Predict")

    def send(content: bytes) -> None:
        with suppress(grpc.RpcError):
            call(content, timeout=30)

    return send


def weighed(process: psutil.Process) -> tuple[float, int]:
    """Memory in megabytes, and open files."""
    return process.memory_info().rss / 1e6, process.num_fds()


def fuzz(inputs: int, seed: int) -> bool:
    """Throw so many inputs; whether the server came through."""
    chance = random.Random(seed)
    with serving() as server:
        process, rest, rpc = psutil.Process(server.process.pid), server.rest_port, server.grpc_port
        send = rpc_thrower(rpc)
        before = (0.0, 0)
        for i in range(inputs):
            kind = chance.random()
            if kind < 0.15:
                throw(rpc, http2_exchange(chance))
            elif kind < 0.3:
                send(proto_request(chance) if chance.random() < 0.8 else struct.pack("<Q", chance.getrandbits(64)))
            else:
                throw(rest, http_request(chance))
            if i % 1000 == 999:
                if not is_right(rest):
                    print(f"wrong after {i + 1} inputs with seed {seed}")
                    return False
                before = before if before[0] else weighed(process)
        after = weighed(process)
        grown = f"memory {before[0]:.0f} -> {after[0]:.0f} MB, files {before[1]} -> {after[1]}"
        print(f"{inputs} inputs, seed {seed}: {grown}")
        return after[0] < before[0] * 1.1 and after[1] <= before[1] + 8
