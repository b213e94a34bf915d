"""The model servers of two checkouts beside each other, in alternating rounds.

python -m benchmarks.modelserver.against DIRECTORY [--fronts N] [--models DIRECTORY] [--rounds 5] [--seconds 3]
    [--only WORD]

Prints for each load the medians of both, and the median over the rounds of how many times as many requests per second
this checkout answers as DIRECTORY. --fronts is for this checkout alone. Both run with this interpreter and its
packages. --models holds mlp, for large bodies and batching; gRPC needs h2load (apt-get install nghttp2-client), the
rest needs wrk.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.modelserver.load import BATCHING, BUNDLED, Server, instances, large_body, ours, table
from benchmarks.modelserver.transports import per_second
from tests.support.modelserver.running import free_port

ROOT = Path(__file__).parents[2]
HALF = "/v1/models/half_plus_two:predict"
MLP = "/v1/models/mlp:predict"
SMALL = instances(1.0, 2.0, 5.0)
ONE_ROW = instances([round(i / 784, 3) for i in range(784)])
CONNECTIONS = (1, 16, 64)


@dataclass(frozen=True)
class Candidate:
    """A server of one checkout, with its gRPC port."""

    server: Server
    grpc_port: int


@dataclass(frozen=True)
class Line:
    """One load: its name, and how to measure requests per second of a candidate in so many seconds."""

    name: str
    measure: Callable[[Candidate, int], float]


def rest(name: str, path: str, body: bytes, connections: int) -> Line:
    """A REST load."""
    return Line(name, lambda one, seconds: one.server.load(path, body, connections, seconds).per_second)


def grpc(connections: int) -> Line:
    """A gRPC load of the small request."""
    name = f"gRPC, {connections} connections"
    return Line(name, lambda one, seconds: per_second(one.grpc_port, connections, seconds))


def small_lines() -> list[Line]:
    """Small requests on either transport."""
    lines = [rest(f"REST, {connections} connections", HALF, SMALL, connections) for connections in CONNECTIONS]
    if shutil.which("h2load"):
        return [*lines, *map(grpc, CONNECTIONS)]
    print("no h2load: gRPC is left out", file=sys.stderr)
    return lines


@contextmanager
def pair(
    directories: list[Path], model: str, base_path: Path, body: bytes, *flags: str, fronts: int = 0
) -> Iterator[list[Candidate]]:
    """A server of each checkout; the first with so many fronts."""
    with ExitStack() as stack:
        candidates = []
        for directory in directories:
            port = free_port()
            own = [f"--fronts={fronts}"] if fronts and directory == directories[0] else []
            server = ours(model, base_path, body, *flags, *own, checkout=directory, grpc_port=port)
            candidates.append(Candidate(stack.enter_context(server), port))
        yield candidates


def compared(candidates: list[Candidate], lines: list[Line], options: argparse.Namespace) -> list[list[str]]:
    """A row for each line: both medians, the median ratio and its range."""
    rows = []
    for line in lines:
        if options.only in line.name:
            rounds = [
                _round(candidates, line, options.seconds, odd=number % 2 == 1) for number in range(options.rounds)
            ]
            ratios = sorted(here / there for here, there in rounds)
            medians = [f"{statistics.median(column):.0f}" for column in zip(*rounds, strict=True)]
            rows.append([line.name, *medians, f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f}-{ratios[-1]:.2f}"])
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _round(candidates: list[Candidate], line: Line, seconds: int, odd: bool) -> tuple[float, float]:
    """Both once; who is second in one round is first in the next, since machines warm up and slow down."""
    order = list(reversed(candidates)) if odd else candidates
    taken = {id(one): line.measure(one, seconds) for one in order}
    return taken[id(candidates[0])], taken[id(candidates[1])]


def rows_of(directories: list[Path], options: argparse.Namespace) -> Iterator[list[str]]:
    """The rows of every pair of servers, one pair at a time."""
    with pair(directories, "half_plus_two", BUNDLED, SMALL, fronts=options.fronts) as candidates:
        starts = [one.server.start_s for one in candidates]
        yield ["start, seconds", *(f"{start:.2f}" for start in starts), f"{starts[0] / starts[1]:.2f}", ""]
        yield from compared(candidates, small_lines(), options)
        sizes = [one.server.memory_mb() for one in candidates]
        yield ["memory after that, MB", *(f"{size:.0f}" for size in sizes), f"{sizes[0] / sizes[1]:.2f}", ""]
    if options.models:
        mlp = options.models / "mlp"
        large = rest("64 x 784 numbers, 4 connections", MLP, large_body(), 4)
        with pair(directories, "mlp", mlp, ONE_ROW, fronts=options.fronts) as candidates:
            yield from compared(candidates, [large, rest("1 x 784, 64 connections", MLP, ONE_ROW, 64)], options)
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "batching").write_text(BATCHING)
            flags = ("--enable_batching", f"--batching_parameters_file={scratch}/batching")
            with pair(directories, "mlp", mlp, ONE_ROW, *flags, fronts=options.fronts) as candidates:
                batched = rest("1 x 784, 64 connections, batching", MLP, ONE_ROW, 64)
                yield from compared(candidates, [batched], options)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="the other checkout")
    parser.add_argument("--fronts", type=int, default=0, help="fronts of this checkout's server; 0 is one process")
    parser.add_argument("--models", type=Path, help="directory with the model mlp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    parser.add_argument("--only", default="", help="only loads whose name contains this")
    options = parser.parse_args()
    rows = list(rows_of([ROOT, options.directory.resolve()], options))
    print(table(["load", "req/s here", "req/s there", "ratio, median", "all rounds"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
