"""Ends engine and fronts of a server in every way, under load from REST and gRPC, and tells what the clients saw."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil

from tests.support.modelserver.families import Clients, clients_of, engine_of, fronts_of
from tests.support.modelserver.running import Running, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

# So often in each sixteen ends; to be stopped takes ten seconds until it is noticed.
_ENGINE = ("SIGKILL", "SIGSEGV", "OOM", "SIGKILL", "SIGSEGV", "OOM", "SIGKILL", "SIGSTOP")
_FRONT = ("SIGKILL", "SIGSEGV", "SIGKILL", "SIGSEGV", "SIGKILL", "SIGSEGV", "SIGKILL", "SIGSTOP")
WAYS = (*[("engine", way) for way in _ENGINE], *[("front", way) for way in _FRONT])
# What a client may be told in place of its answer.
DOCUMENTED = ("while it ran this request.", "has ended repeatedly and is not running; try again later.")
REST_CLIENTS, RPC_CLIENTS = 6, 3
_CGROUPS = Path("/sys/fs/cgroup/memory")


@dataclass
class Report:
    """What came of it: the ends by process and way, what the clients saw, and what was left."""

    ends: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def faults(self) -> list[str]:
        """All that should not have been."""
        allowed = ("right", "broken", *DOCUMENTED)
        strange = [f"{what}: {count}" for what, count in self.seen.items() if not what.endswith(allowed)]
        broken = sum(count for what, count in self.ends.items() if what.startswith("front")) * (
            REST_CLIENTS + RPC_CLIENTS
        )
        if self.seen["broken"] > broken:
            strange.append(f"{self.seen['broken']} requests broken, more than connections of ended fronts ({broken})")
        return strange + self.left


def chaos(ends: int, seed: int) -> Report:
    """End a process of the server so many times, each once the clients get right answers again."""
    chance, report = random.Random(seed), Report()
    with serving("--fronts=2", "--enable_batching") as server:
        parent = psutil.Process(server.process.pid)
        files = parent.num_fds()
        with clients_of(server, REST_CLIENTS) as clients, rpc_clients_of(server, clients), memory_limit() as limit:
            plan = [WAYS[number % len(WAYS)] for number in range(ends)]
            chance.shuffle(plan)
            for process, way in plan:
                end(engine_of(server) if process == "engine" else chance.choice(fronts_of(server)), way, limit, server)
                report.ends[f"{process} {way}"] += 1
                clients.wait_for_more(30)
                time.sleep(chance.random() / 10)
            report.seen, report.slowest_s = clients.seen, clients.slowest_s
        until(lambda: len(parent.children()) == 3)
        children = parent.children()
        if parent.num_fds() != files:
            report.left.append(f"{parent.num_fds()} files of the parent, {files} before")
        named = {entry.path for one in (parent, *children) for entry in one.memory_maps() if "/dev/shm" in entry.path}
        report.left += sorted(named)
        if server.end():
            report.left.append("an exit code other than 0")
        report.left += [f"process {child.pid}" for child in psutil.wait_procs(children, timeout=30)[1]]
        report.left += [f"port {port}" for port in (server.rest_port, server.grpc_port) if listens(port)]
    return report


def end(process: psutil.Process, way: str, limit: Path | None, server: Running) -> None:
    """End a process in this way; what is stopped, or has no memory left, is ended by another one."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        if way != "OOM" or limit is None:
            process.send_signal(signal.SIGKILL if way == "OOM" else signal.Signals[way])
        else:
            (limit / "cgroup.procs").write_text(str(process.pid))
            until(lambda: not process.is_running() or needs_more(server))
    # The parent reaps it.
    until(lambda: not process.is_running())


def needs_more(server: Running) -> bool:
    """Send what takes much memory; False."""
    with suppress(OSError):
        server.post("/v1/models/half_plus_two:predict", {"instances": [1.0] * 200_000})
    return False


@contextmanager
def memory_limit() -> Iterator[Path | None]:
    """A control group whose processes are killed as soon as they need a megabyte; None where none can be made."""
    path = _CGROUPS / f"chaos-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(2**20))
    except OSError:
        yield None
        return
    try:
        yield path
    finally:
        until(lambda: not (path / "cgroup.procs").read_text())
        path.rmdir()


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def rpc_clients_of(server: Running, clients: Clients) -> Iterator[None]:
    """Clients of gRPC, which note what they see among that of the others."""
    over = threading.Event()
    threads = [threading.Thread(target=_call, args=(server, clients, over)) for _ in range(RPC_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _call(server: Running, clients: Clients, over: threading.Event) -> None:
    method = services.PREDICT
    request = apis.PredictRequest(model_spec={"name": "half_plus_two"})
    shape = {"dim": [{"size": 1}]}
    request.inputs["x"].CopyFrom(TensorProto(dtype=DataType.DT_FLOAT, tensor_shape=shape, float_val=[1.0]))
    # A channel that was refused a connection waits longer and longer before it tries again.
    options = [("grpc.max_reconnect_backoff_ms", 100), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        while not over.is_set():
            started_s = time.monotonic()
            try:
                values = list(call(request, timeout=60).outputs["y"].float_val)
                clients.note("right" if values == [2.5] else f"gRPC {values}", time.monotonic() - started_s)
            except grpc.RpcError as error:
                clients.note(_what(error), time.monotonic() - started_s)
                time.sleep(0.05)


def _what(error: grpc.RpcError) -> str:
    if error.code() is grpc.StatusCode.UNAVAILABLE and not error.details().endswith(DOCUMENTED):
        return "broken"
    return f"gRPC {error.code().name} {error.details()}"
