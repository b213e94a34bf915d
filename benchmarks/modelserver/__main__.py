"""The embedded server against what people write by hand: FastAPI, uvicorn and tf.saved_model.load.

python -m benchmarks.modelserver [--models DIRECTORY] [--real TENSORFLOW_MODEL_SERVER] [--seconds 3]

The yardstick lives in a throw-away environment, since it needs TensorFlow's Python. With --real, a
tensorflow_model_server is measured beside it. DIRECTORY holds mlp, for large bodies and batching.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.modelserver.load import (
    BATCHING,
    BUNDLED,
    Load,
    Server,
    alternating,
    instances,
    large_body,
    median,
    median_ratio,
    ours,
    started,
    table,
)  # fmt: skip
from tests.support.modelserver.running import free_port

HALF = "/v1/models/half_plus_two:predict"
SMALL = instances(1.0, 2.0, 5.0)
YARDSTICK = """
import sys
import fastapi, tensorflow as tf, uvicorn
model = tf.saved_model.load(sys.argv[2])
run = model.signatures["serving_default"]
app = fastapi.FastAPI()

@app.post("/v1/models/{name}:predict")
def predict(name: str, body: dict):
    (output,) = run(x=tf.constant(body["instances"], tf.float32)).values()
    return {"predictions": output.numpy().tolist()}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
"""


@contextmanager
def yardstick(python: Path, version_dir: Path, path: str, body: bytes) -> Iterator[Server]:
    """The server that people write by hand."""
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch, "yardstick.py")
        script.write_text(YARDSTICK)
        command = [str(python), str(script), str(port), str(version_dir)]
        with started("FastAPI", command, port, path, body) as server:
            yield server


@contextmanager
def real(binary: str, model: str, base_path: Path, path: str, body: bytes, *flags: str) -> Iterator[Server]:
    """TensorFlow Serving itself."""
    port = free_port()
    command = [binary, f"--model_name={model}", f"--model_base_path={base_path}", f"--rest_api_port={port}"]
    with started("TF Serving", [*command, f"--port={free_port()}", *flags], port, path, body) as server:
        yield server


def environment(directory: Path) -> Path:
    """The interpreter of an environment with the yardstick's packages."""
    python = directory / "bin" / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
        packages = ["fastapi", "uvicorn[standard]", "tensorflow-cpu"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def small_requests(servers: list[Server], seconds: int) -> list[list[str]]:
    """Start, memory, and small requests on 1, 16 and 64 connections."""
    for server in servers:
        for _ in range(200):
            server.post(HALF, SMALL)
    columns = [map(median, alternating(servers, HALF, SMALL, connections, seconds)) for connections in (1, 16, 64)]
    rows = []
    for server, loads in zip(servers, zip(*columns, strict=True), strict=True):
        cells = [server.name, f"{server.start_s:.2f} s", f"{server.memory_mb():.0f} MB", f"{loads[0].p50_ms:.2f} ms"]
        cells += [f"{load.per_second:.0f}" for load in loads]
        rows.append([*cells, f"{loads[-1].processor_us:.0f} µs"])
    return rows


def large_bodies(servers: list[Server], seconds: int) -> list[list[str]]:
    """64 rows of 784 numbers, on 4 connections."""
    loads = alternating(servers, "/v1/models/mlp:predict", large_body(), 4, seconds, rounds=9)
    return [
        [server.name, *_spread(taken), f"{median(taken).p50_ms:.1f} ms", f"{median(taken).processor_us:.0f} µs"]
        for server, taken in zip(servers, loads, strict=True)
    ]


def _spread(loads: Sequence[Load]) -> list[str]:
    """Requests per second: the median, and from the slowest round to the quickest."""
    taken = sorted(load.per_second for load in loads)
    return [f"{median(loads).per_second:.0f}", f"{taken[0]:.0f}-{taken[-1]:.0f}"]


def batching(mlp: Path, seconds: int) -> list[list[str]]:
    """One row of 784 numbers on 64 connections, with batching and without."""
    body = instances([round(i / 784, 3) for i in range(784)])
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        Path(scratch, "batching").write_text(BATCHING)
        batches = ("--enable_batching", f"--batching_parameters_file={scratch}/batching")
        servers = [stack.enter_context(ours("mlp", mlp, body, *flags)) for flags in ((), batches)]
        off, on = alternating(servers, "/v1/models/mlp:predict", body, 64, seconds, rounds=9)
    taken = {"off": off, "on": on}
    rows = [[name, *_spread(loads), f"{median(loads).p50_ms:.1f} ms"] for name, loads in taken.items()]
    return [*rows, ["ratio, median of the rounds", f"{median_ratio(on, off):.2f}", "", ""]]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="directory with the model mlp")
    parser.add_argument("--real", help="a tensorflow_model_server to measure beside")
    parser.add_argument("--seconds", type=int, default=3, help="length of each load, in seconds")
    parser.add_argument("--environment", type=Path, help="where to keep the yardstick's environment")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = options.environment or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = environment(where)
        servers = [stack.enter_context(ours("half_plus_two", BUNDLED, SMALL))]
        servers.append(stack.enter_context(yardstick(python, BUNDLED / "00000123", HALF, SMALL)))
        if options.real:
            servers.append(stack.enter_context(real(options.real, "half_plus_two", BUNDLED, HALF, SMALL)))
        heads = ["server", "start", "memory", "p50, 1 conn.", "req/s, 1", "req/s, 16", "req/s, 64", "processor/request"]
        print(table(heads, small_requests(servers, options.seconds)))
    if options.models:
        mlp = options.models / "mlp"
        one = instances([0.5] * 784)
        path = "/v1/models/mlp:predict"
        with ExitStack() as stack:
            servers = [stack.enter_context(ours("mlp", mlp, one))]
            servers.append(stack.enter_context(yardstick(python, mlp / "1", path, one)))
            if options.real:
                servers.append(stack.enter_context(real(options.real, "mlp", mlp, path, one)))
            heads = ["64 x 784 numbers", "req/s", "all rounds", "p50", "processor/request"]
            print("\n" + table(heads, large_bodies(servers, options.seconds)))
        heads = ["batching, 1 x 784, 64 conn.", "req/s", "all rounds", "p50"]
        print("\n" + table(heads, batching(mlp, options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
