"""A graph with large constants: loaded by names, and by TensorFlow's own loader, in turns.

python -m benchmarks.modelserver.large_graphs [--megabytes 400] [--pieces 1 100] [--rounds 1]

Exports models with TensorFlow: their constants in a function, as TensorFlow 2 exports them, or in the graph itself, as
a frozen graph has them. For each it starts a server of one process and prints how much more memory it has than a server
of a small model, in sizes of the constants: after loading, after the first answer, and at most until either. Memory is
what is resident without pages of files. The first answer makes TensorFlow optimize the graph, which copies it often.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from benchmarks.modelserver.load import table
from tests.support.modelserver.running import BUNDLED, Running, launched

WAYS = {"by names": "--large_graph_bytes=0", "TensorFlow's loader": f"--large_graph_bytes={2**40}"}
KINDS = ("function", "frozen")
LOAD_S = 1800
EXPORT = """
import sys
import numpy as np
import tensorflow as tf
directory, megabytes, pieces, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
chance = np.random.default_rng(1)
rows = megabytes * 2**20 // 4 // 1024 // pieces
constants = [chance.random((rows, 1024), dtype=np.float32) for _ in range(pieces)]

def call(x):
    found = [tf.gather(tf.constant(one), tf.cast(x, tf.int32)) for one in constants]
    return {"y": tf.add_n([tf.reduce_sum(one, 1) for one in found])}

if kind == "function":
    module = tf.Module()
    module.call = tf.function(call, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    tf.saved_model.save(module, directory, signatures=module.call)
else:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        v1.saved_model.simple_save(session, directory, {"x": x}, call(x))
"""


@dataclass(frozen=True)
class Taken:
    """What one server took: memory in megabytes, and seconds of processors."""

    loaded_mb: float
    loading_peak_mb: float
    loading_s: float
    answered_mb: float
    answering_peak_mb: float
    answering_s: float


class Watched:
    """A process whose highest memory is noted."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._peak_mb = 0.0
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def seen(self) -> tuple[float, float, float]:
        """Memory now, the highest since the last call, and the processor seconds so far."""
        now_mb, peak_mb = self._memory_mb(), self._peak_mb
        self._peak_mb = 0.0
        return now_mb, max(now_mb, peak_mb), sum(self._process.cpu_times()[:2])

    def _memory_mb(self) -> float:
        info = self._process.memory_info()
        return float(info.rss - info.shared) / 2**20

    def _watch(self) -> None:
        while not self._has_ended.wait(0.002):
            self._peak_mb = max(self._peak_mb, self._memory_mb())

    @contextmanager
    def watching(self) -> Iterator[Watched]:
        """Note it during the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._has_ended.set()
            self._thread.join()


def exported(directory: Path, megabytes: int, pieces: int, kind: str) -> Path:
    """The base path of a model whose constants are so many megabytes in so many pieces."""
    base_path = directory / f"{kind}_{pieces}"
    arguments = [str(base_path / "1"), str(megabytes), str(pieces), kind]
    subprocess.run([sys.executable, "-c", EXPORT, *arguments], check=True, capture_output=True)
    return base_path


def taken(base_path: Path, flag: str) -> Taken:
    """Load the model in a server of its own, and ask it once."""
    flags = ("--fronts=0", "--model_name=m", f"--model_base_path={base_path}", flag, "--rest_api_timeout_in_ms=1800000")
    with launched(*flags) as server, Watched(psutil.Process(server.process.pid)).watching() as watched:
        server.wait_for("Exporting HTTP/REST API at", timeout_s=LOAD_S)
        loaded_mb, loading_peak_mb, loading_s = watched.seen()
        _ask(server)
        answered_mb, answering_peak_mb, all_s = watched.seen()
    return Taken(loaded_mb, loading_peak_mb, loading_s, answered_mb, answering_peak_mb, all_s - loading_s)


def _ask(server: Running) -> None:
    """One request, whose answer may take long."""
    answer = subprocess.run(
        ["curl", "-sf", "-d", '{"instances": [1.0, 2.0]}', f"http://127.0.0.1:{server.rest_port}/v1/models/m:predict"],
        capture_output=True,
        check=True,
    )
    assert b"predictions" in answer.stdout


def medians(rounds: Sequence[Taken]) -> Taken:
    """Each figure's median."""
    return Taken(*(statistics.median(column) for column in zip(*map(astuple, rounds), strict=True)))


def rows_of(name: str, base_path: Path, small: Taken, options: argparse.Namespace) -> Iterator[list[str]]:
    """A row for each way, and one with their ratios."""
    found: dict[str, list[Taken]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, flag in WAYS.items():
            found[way].append(_above(taken(base_path, flag), small))
    by_names, by_loader = (medians(rounds) for rounds in found.values())
    for way, one in zip(WAYS, (by_names, by_loader), strict=True):
        yield [f"{name}, {way}", *_cells(one, options.megabytes)]
    ratios = [a / b for a, b in zip(astuple(by_names), astuple(by_loader), strict=True)]
    yield [f"{name}, ratio", *(f"{ratio:.2f}" for ratio in ratios)]


def _above(one: Taken, small: Taken) -> Taken:
    """What it took more than a server of a small model."""
    return Taken(*(a - b for a, b in zip(astuple(one), astuple(small), strict=True)))


def _cells(one: Taken, megabytes: int) -> list[str]:
    """Memory in sizes of the constants."""
    loaded, loading_peak, loading_s, answered, answering_peak, answering_s = astuple(one)
    sizes = [f"{value / megabytes:.1f} x" for value in (loaded, loading_peak, answered, answering_peak)]
    return [*sizes[:2], f"{loading_s:.1f} s", *sizes[2:], f"{answering_s:.1f} s"]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400, help="size of a model's constants")
    parser.add_argument("--pieces", type=int, nargs="*", default=[1, 100], help="how many constants they are")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    small = taken(BUNDLED, "--large_graph_bytes=0")
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in KINDS:
            for pieces in options.pieces:
                base_path = exported(Path(scratch), options.megabytes, pieces, kind)
                rows += rows_of(f"{kind}, {pieces}", base_path, small, options)
                print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    heads = ["constants in, pieces", "loaded", "peak", "processors", "answered", "peak", "processors"]
    print(table(heads, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
