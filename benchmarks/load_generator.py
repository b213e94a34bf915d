"""The load generator of `bench` beside wrk -t1 and h2load -t1, on the same server in alternating rounds.

python -m benchmarks.load_generator [--seconds 3] [--rounds 5]

nginx answers: once as fast as it can, once held to 10,000 requests a second, where every good generator must
measure the same. Needs nginx, wrk, and h2load (apt-get install nginx-light wrk nghttp2-client).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.modelserver.load import BUNDLED, Server, instances, ours, started, table
from benchmarks.modelserver.transports import per_second
from tests.support.modelserver.running import free_port
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.protos.services import PREDICT
from tfs_workflow.quality.bench.generator.orders import GRPC, REST, Orders
from tfs_workflow.quality.bench.load import Generators
from tfs_workflow.quality.bench.requests import grpc_bodies
from tfs_workflow.quality.bench.result import Load, Point

PATH, BODY, HELD_PER_S, OPEN_PER_S = "/answer", instances(1.0, 2.0, 5.0), 10_000, 5_000
SIGNATURE = Signature("", {"x": TensorSpec("x:0", "DT_FLOAT", (-1,))}, {})
# A POST to a file is refused by nginx, after the limit was applied: the refusal is turned into an answer.
NGINX = """
worker_processes 1; daemon off; pid {directory}/pid; error_log /dev/null;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  limit_req_zone $server_port zone=held:1m rate={held}r/s;
  server {{
    listen 127.0.0.1:{port} backlog=2048; root {directory}; error_page 405 =200 @answer;
    location @answer {{ return 200 '{{"predictions": [2.5, 3.0, 4.5]}}'; }}
    {limit}
  }}
}}
"""


@contextmanager
def nginx(limit: str = "") -> Iterator[Server]:
    """An nginx that answers every request alike."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, PATH[1:]).touch()
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(NGINX.format(directory=directory, port=port, held=HELD_PER_S, limit=limit))
        Path(directory).chmod(0o755)
        with started("nginx", ["nginx", "-e", "/dev/null", "-c", str(configuration)], port, PATH, BODY) as server:
            yield server


def measured(orders: Orders, load: Load) -> Point:
    """What `bench` measures."""
    point = Point(load)
    Generators(orders).put(load, point)
    if point.failed > point.answered / 100:
        sys.exit(f"{load}: {point.failed} failed: {point.errors}")
    return point


def rest(server: Server, path: str, seconds: float) -> Orders:
    """The orders for a server over REST."""
    return Orders(REST, "127.0.0.1", server.port, path, (BODY,), 1, seconds, warm_up_s=0.3)


def row(what: str, theirs: list[float], points: list[Point]) -> list[str]:
    """A row of the table: the median of the ratios, since the speed of a shared machine changes between rounds."""
    ratio = statistics.median(point.per_s / other for point, other in zip(points, theirs, strict=True))
    measured_per_s = statistics.median(point.per_s for point in points)
    cores = statistics.median(point.client.cores for point in points)
    return [what, f"{statistics.median(theirs):.0f}", f"{measured_per_s:.0f}", f"{ratio:.2f}", f"{cores:.2f}"]


def closed(what: str, server: Server, connections: int, seconds: int, rounds: int) -> list[str]:
    """wrk and bench in turn."""
    theirs, points = [], []
    for _ in range(rounds):
        theirs.append(server.load(PATH, BODY, connections, seconds).per_second)
        points.append(measured(rest(server, PATH, seconds), Load(connections)))
    return row(f"{what}, {connections} connections", theirs, points)


def over_grpc(connections: int, seconds: int, rounds: int) -> list[str]:
    """h2load and bench in turn, on the embedded server."""
    port = free_port()
    bodies = grpc_bodies(ModelRef("half_plus_two"), [JsonRequest([1.0, 2.0, 5.0])], SIGNATURE)
    theirs, points = [], []
    with ours("half_plus_two", BUNDLED, BODY, grpc_port=port):
        orders = Orders(GRPC, "127.0.0.1", port, PREDICT.path, bodies, 1, seconds, warm_up_s=0.3)
        for _ in range(rounds):
            theirs.append(per_second(port, connections, seconds))
            points.append(measured(orders, Load(connections)))
    return row(f"gRPC, embedded server, {connections} connections (h2load)", theirs, points)


def opened(server: Server, seconds: int, rounds: int) -> str:
    """The processor time of an open loop."""
    points = [measured(rest(server, PATH, seconds), Load(512, OPEN_PER_S)) for _ in range(rounds)]
    cores = statistics.median(point.client.cores for point in points)
    answered = statistics.median(point.per_s for point in points)
    return f"open loop of {OPEN_PER_S}/s: {answered:.0f}/s answered, {cores:.2f} of a core"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison")
    options = parser.parse_args()
    if missing := [tool for tool in ("nginx", "wrk", "h2load") if shutil.which(tool) is None]:
        sys.exit(f"needs {', '.join(missing)}: apt-get install nginx-light wrk nghttp2-client")
    given = (options.seconds, options.rounds)
    with ExitStack() as stack:
        held = stack.enter_context(nginx(f"location / {{ limit_req zone=held burst={HELD_PER_S}; }}"))
        free = stack.enter_context(nginx())
        rows = [closed(f"held to {HELD_PER_S}/s", held, 64, *given)]
        rows += [closed("nginx", free, connections, *given) for connections in (1, 16, 64)]
        rows += [over_grpc(connections, *given) for connections in (1, 16)]
        print(table(["load", "wrk -t1", "bench", "ratio", "cores of bench"], rows))
        print(opened(free, *given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
