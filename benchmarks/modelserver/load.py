"""Model servers under wrk: started, loaded and weighed the same way, whoever wrote them."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.modelserver.running import free_port

BUNDLED = Path(__file__).parents[2] / "tfs_workflow" / "bundled" / "half_plus_two"
END_S = 10
BATCHING = """max_batch_size { value: 64 } batch_timeout_micros { value: 1000 } max_enqueued_batches { value: 1000 }
num_batch_threads { value: 2 }"""


@dataclass(frozen=True)
class Load:
    """What wrk measured: requests per second, latencies in milliseconds, and the processor time of a request."""

    per_second: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    processor_us: float


@dataclass(frozen=True)
class Server:
    """A server that answers at a port."""

    name: str
    process: psutil.Popen
    port: int
    start_s: float

    def memory_mb(self) -> float:
        """Resident memory of the process and its children, what they share counted once."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(float(process.memory_full_info().pss) for process in family) / 1e6

    def load(self, path: str, body: bytes, connections: int, duration_s: int = 5) -> Load:
        """Load it with one wrk thread."""
        with self._command(path, body, connections, duration_s) as command:
            before_s = self._processor_s()
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            used_s = self._processor_s() - before_s
        if "Non-2xx" in ran.stdout:
            sys.exit(f"{self.name} answered with errors:\n{ran.stdout}")
        count = float(_found(r"(\d+) requests in", ran.stdout))
        return Load(
            per_second=float(_found(r"Requests/sec:\s+([\d.]+)", ran.stdout)),
            p50_ms=_milliseconds(_found(r"\n +50% +(\S+)", ran.stdout)),
            p99_ms=_milliseconds(_found(r"\n +99% +(\S+)", ran.stdout)),
            longest_ms=_milliseconds(_found(r"\n +Latency +\S+ +\S+ +(\S+)", ran.stdout)),
            processor_us=used_s / count * 1e6,
        )

    @contextmanager
    def loaded(self, path: str, body: bytes, connections: int) -> Iterator[None]:
        """Loaded by a wrk of its own during the block."""
        with self._command(path, body, connections, duration_s=3600) as command:
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                yield
            finally:
                running.kill()
                running.wait()

    @contextmanager
    def _command(self, path: str, body: bytes, connections: int, duration_s: int) -> Iterator[list[str]]:
        if shutil.which("wrk") is None:
            sys.exit("needs wrk: apt-get install wrk")
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "body").write_bytes(body)
            script = Path(scratch, "post.lua")
            script.write_text(
                f'local f = io.open("{scratch}/body", "rb") wrk.body = f:read("*a") f:close() wrk.method = "POST"\n'
                'wrk.headers["Content-Type"] = "application/json"\n'
            )
            command = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "--timeout", "60s", "--latency"]
            yield [*command, "-s", str(script), self.url(path)]

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def post(self, path: str, body: bytes) -> bytes:
        """One request's answer."""
        request = urllib.request.Request(self.url(path), body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def _processor_s(self) -> float:
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(sum(p.cpu_times()[:2]) for p in processes)


def alternating(  # noqa: PLR0913, PLR0917  # what `load` takes, and how often
    servers: Sequence[Server], path: str, body: bytes, connections: int, duration_s: int, rounds: int = 5
) -> list[list[Load]]:
    """For each server its load in every round; in a round each is loaded once, since these machines are noisy."""
    taken = [[server.load(path, body, connections, duration_s) for server in servers] for _ in range(rounds)]
    return [list(loads) for loads in zip(*taken, strict=True)]


def median(loads: Sequence[Load]) -> Load:
    """The load with the median requests per second, of an odd number of rounds."""
    return sorted(loads, key=lambda load: load.per_second)[len(loads) // 2]


def median_ratio(loads: Sequence[Load], others: Sequence[Load]) -> float:
    """The median over the rounds of how many times as many requests per second one server answered as another."""
    return statistics.median(a.per_second / b.per_second for a, b in zip(loads, others, strict=True))


@contextmanager
def started(  # noqa: PLR0913, PLR0917  # what is run, and where it answers
    name: str, command: list[str], port: int, path: str, body: bytes, checkout: Path | None = None
) -> Iterator[Server]:
    """A server from exec to its first right answer, and ended afterwards; `checkout` is whose package it runs."""
    environment = os.environ | ({"PYTHONPATH": str(checkout)} if checkout else {})
    began_s = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=checkout, env=environment)
    try:
        server = Server(name, process, port, 0)
        while True:
            try:
                server.post(path, body)
                break
            except urllib.error.HTTPError as error:
                sys.exit(f"{name} answered {error.code}: {error.read()!r}")
            except OSError:
                if process.poll() is not None:
                    sys.exit(f"{name} ended with {process.returncode}: {' '.join(command)}")
                time.sleep(0.002)
        yield Server(name, process, port, time.perf_counter() - began_s)
    finally:
        end(process)


def end(process: psutil.Popen) -> None:
    """End a server with its children; one that does not end by itself is killed."""
    family = [process, *process.children(recursive=True)] if process.is_running() else [process]
    process.terminate()
    for left in psutil.wait_procs(family, timeout=END_S)[1]:
        left.kill()
    process.wait()


@contextmanager
def ours(
    model: str, base_path: Path, body: bytes, *flags: str, checkout: Path | None = None, grpc_port: int = 0
) -> Iterator[Server]:
    """The embedded server, of another checkout where one is named."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tfs_workflow.modelserver",
        f"--model_name={model}",
        f"--model_base_path={base_path}",
    ]
    command += ["--bind_address=127.0.0.1", f"--port={grpc_port}", f"--rest_api_port={port}", *flags]
    with started("embedded", command, port, f"/v1/models/{model}:predict", body, checkout) as server:
        yield server


def instances(*rows: object) -> bytes:
    """A predict request."""
    return json.dumps({"instances": rows}).encode()


def large_body() -> bytes:
    """64 rows of 784 numbers."""
    chance = random.Random(1)
    return instances(*([round(chance.random(), 3) for _ in range(784)] for _ in range(64)))


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk printed no {pattern}:\n{text}")
    return match[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
