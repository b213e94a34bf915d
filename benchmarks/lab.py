"""What the benchmarks share: a lab in a temporary directory, medians, and one way to print ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

PACKAGE = Path(__file__).parents[1] / "tfs_workflow"
BUNDLED = PACKAGE / "bundled" / "half_plus_two"


@contextmanager
def lab(runtime: str, **server: Any) -> Iterator[Path]:
    """A directory with a YAML that serves the bundled model; torn down and purged afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        config = {
            "project": f"bench-{os.getpid()}",
            "workspace": f"{directory}/workspace",
            "runtime": runtime,
            "server": {"rest_port": "auto", "grpc_port": "auto"} | server,
            "models": {
                "half_plus_two": {"source": {"bundled": "half_plus_two"}, "example": {"instances": [1.0, 2.0, 5.0]}}
            },
        }
        path = Path(directory, "tfs.yaml")
        path.write_text(yaml.safe_dump(config))
        try:
            yield path
        finally:
            tfs("teardown", path, "--purge")


def tfs(verb: str, config: Path, *options: str) -> str:
    """Run one verb as users do; its standard output."""
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", verb, "--config", str(config), *options]
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment()).stdout


def environment() -> dict[str, str]:
    """Ours, with compiled modules kept, as on a user's machine."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alternating(rounds: int, **actions: Callable[[], object]) -> dict[str, float]:
    """The median seconds of each action; they take turns, so that a noisy neighbour meets them alike."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(seconds(action))
    return {name: statistics.median(values) for name, values in taken.items()}


def report(what: str, ours: float, theirs: float, target: float, unit: str = "s") -> bool:
    """One line: both figures, their ratio, and whether it is within the target."""
    ratio = ours / theirs
    verdict = "ok" if ratio <= target else "MISSED"
    print(f"{what}: {ours:.3g} {unit} / {theirs:.3g} {unit} = {ratio:.3f} (at most {target:g}) {verdict}", flush=True)
    return ratio <= target
