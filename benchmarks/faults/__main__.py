"""Inject every fault and count what comes of it; needs root and an engine that has the image.

python -m benchmarks.faults [--kills 300] [--docker-kills 60] [--rounds 1] [--seed 1] [--image NAME] [--only WORD]
    [--lane docker|embedded]

Prints the table of docs/reliability.md; exit code 1 when anything was not as it should be.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.faults.counting import Row, table
from benchmarks.faults.engine_faults import EngineFaults
from benchmarks.faults.fault import Fault
from benchmarks.faults.kills import Killing
from benchmarks.faults.lab import lab
from benchmarks.faults.source_faults import SourceFaults
from tests.support.archive_server import ArchiveServer
from tests.support.engine.private import PrivateEngine, private_engine
from tests.support.engine.proxy import EngineProxy
from tests.support.faulty import serving
from tests.support.git_server import GitServer, tutorial_repository
from tests.support.registry import registry

REPOSITORIES = "repositories"
IMAGE = "tfs-workflow/model-server:test"
DOCKER_SHARE = 5  # one kill in so many is on docker, which takes longer, unless --docker-kills says how many


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--docker-kills", type=int, help="how many of them on docker (default: a fifth)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each other fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    parser.add_argument("--lane", choices=["docker", "embedded"], help="only this runtime (default: both)")
    parser.add_argument("--output", type=Path, help="where the table goes as well")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    start_s = time.monotonic()
    lanes = {"docker": docker_lane, "embedded": embedded_lane}
    chosen = [lanes[name] for name in ([options.lane] if options.lane else lanes)]
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(len(chosen)) as threads:
        root = Path(directory)
        tutorial_repository(root / REPOSITORIES / "serving.git")
        started = [threads.submit(one, options, root) for one in chosen]
        rows = [row for future in started for row in future.result()]
    return conclude(options, rows, time.monotonic() - start_s)


def docker_lane(options: argparse.Namespace, root: Path) -> list[Row]:
    """Faults of engine and registry, and the kills of verbs that use an engine."""
    (root / "registry").mkdir()
    with (
        serving(GitServer(root / REPOSITORIES)) as git,
        private_engine(options.image) as engine,
        EngineProxy(engine.socket, engine.socket.with_name("proxy.sock")) as proxy,
        registry(root / "registry") as images,
    ):
        faults = EngineFaults(engine, proxy, images).faults()
        killing = Killing("docker", git, random.Random(options.seed), options.image, engine)
        return lane(options, faults, killing, docker_kills(options), engine)


def embedded_lane(options: argparse.Namespace, root: Path) -> list[Row]:
    """Faults of sources, disks and memory, and the kills of verbs that use no engine."""
    # Two git servers, since the kills fetch from one while faults are in front of the other.
    with (
        serving(GitServer(root / REPOSITORIES)) as git,
        serving(GitServer(root / REPOSITORIES)) as faulty,
        serving(ArchiveServer()) as archives,
    ):
        faults = SourceFaults(faulty, archives).faults()
        killing = Killing("embedded", git, random.Random(options.seed + 1))
        return lane(options, faults, killing, options.kills - docker_kills(options), None)


def docker_kills(options: argparse.Namespace) -> int:
    """How many of the kills are on docker."""
    return int(options.kills // DOCKER_SHARE if options.docker_kills is None else options.docker_kills)


def lane(
    options: argparse.Namespace, faults: list[Fault], killing: Killing, kills: int, engine: PrivateEngine | None
) -> list[Row]:
    """One runtime after the other's side: every fault, then the kills."""
    rows = []
    for fault in faults:
        if options.only in fault.name:
            row = Row(fault.name, frozenset(fault.exit_codes), fault.cleans_up)
            for _ in range(options.rounds):
                inject(row, fault, killing, engine)
            say(f"{fault.name}: {dict(row.exit_codes)} {row.problems or ''}")
            rows.append(row)
    return rows + killing.run(kills, say)


def inject(row: Row, fault: Fault, killing: Killing, engine: PrivateEngine | None) -> None:
    """One fault on a fresh project."""
    host = engine.host if engine else ""
    with lab(killing.runtime, killing.image, host, host) as project:
        try:
            ended = fault.inject(project)
        except (AssertionError, RuntimeError, subprocess.TimeoutExpired) as error:
            row.problems.append(str(error))
            project.run("teardown", "--purge")
            return
        row.add(project, ended)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def conclude(options: argparse.Namespace, rows: list[Row], took_s: float) -> int:
    """The table and every problem."""
    kills = sum(row.injected for row in rows if row.fault.startswith("kill -9"))
    injected = sum(row.injected for row in rows)
    head = f"{datetime.now(timezone.utc):%Y-%m-%d}: {injected} faults, {kills} of them kills, seed {options.seed}, "
    lines = [head + f"{took_s:.0f} s.", "", *table(rows)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)
    problems = [f"{row.fault}: {problem}" for row in rows for problem in row.problems]
    for problem in problems:
        say(f"PROBLEM {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
