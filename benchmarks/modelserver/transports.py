"""gRPC against REST on the same embedded server: small predict requests per second.

python -m benchmarks.modelserver.transports [--seconds 3]

Medians of alternating rounds.

Needs h2load (apt-get install nghttp2-client) beside wrk.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.modelserver.load import BUNDLED, Server, instances, started, table
from tests.support.modelserver.running import free_port
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis

PATH = "/v1/models/half_plus_two:predict"
BODY = instances(1.0, 2.0, 5.0)
ROUNDS = 5


def per_second(port: int, connections: int, seconds: int) -> float:
    """Requests per second that h2load counts, one at a time on each connection."""
    request = apis.PredictRequest(model_spec={"name": "half_plus_two"})
    request.inputs["x"].dtype = 1  # type: ignore[assignment]  # protobuf takes numbers
    request.inputs["x"].tensor_shape.dim.add(size=3)
    request.inputs["x"].float_val.extend([1, 2, 5])
    message = request.SerializeToString()
    with tempfile.NamedTemporaryFile() as framed:
        framed.write(b"\0" + struct.pack(">I", len(message)) + message)
        framed.flush()
        load = ["h2load", f"-D{seconds}", f"-c{connections}", "-m1", "-d", framed.name]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        address = f"http://127.0.0.1:{port}{services.PREDICT.path}"
        printed = subprocess.run([*load, *headers, address], capture_output=True, text=True, check=True).stdout
    match = re.search(r"finished in .*?, ([\d.]+) req/s", printed)
    if match is None or " 0 2xx" in printed:
        sys.exit(f"h2load printed:\n{printed}")
    return float(match[1])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("needs h2load: apt-get install nghttp2-client")
    rest, rpc = free_port(), free_port()
    command = [
        sys.executable,
        "-m",
        "tfs_workflow.modelserver",
        "--model_name=half_plus_two",
        "--bind_address=127.0.0.1",
    ]
    command += [f"--model_base_path={Path(BUNDLED)}", f"--rest_api_port={rest}", f"--port={rpc}"]
    rows = []
    with started("embedded", command, rest, PATH, BODY) as server:
        for connections in (1, 16, 64):
            pairs = [
                (per_second(rpc, connections, options.seconds), rest_per_second(server, connections, options.seconds))
                for _ in range(ROUNDS)
            ]
            by_rpc, by_rest = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(one / other for one, other in pairs)
            rows.append([str(connections), f"{by_rpc:.0f}", f"{by_rest:.0f}", f"{ratio:.2f}"])
    print(table(["connections", "gRPC req/s", "REST req/s", "ratio"], rows))
    return 0


def rest_per_second(server: Server, connections: int, seconds: int) -> float:
    """Requests per second that wrk counts."""
    return server.load(PATH, BODY, connections, seconds).per_second


if __name__ == "__main__":
    sys.exit(main())
