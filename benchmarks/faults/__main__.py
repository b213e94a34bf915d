"""Inject every fault and count what comes of it; needs root and an engine that has the image.

python -m benchmarks.faults [--kills 300] [--docker-kills 60] [--rounds 1] [--seed 1] [--image NAME] [--only WORD]

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
    parser.add_argument("--output", type=Path, help="where the table goes as well")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        tutorial_repository(root / "repositories" / "serving.git")
        (root / "registry").mkdir()
        with (
            serving(GitServer(root / "repositories")) as git,
            serving(ArchiveServer()) as archives,
            private_engine(options.image) as engine,
            EngineProxy(engine.socket, engine.socket.with_name("proxy.sock")) as proxy,
            registry(root / "registry") as images,
            ThreadPoolExecutor(2) as lanes,
        ):
            docker_kills = options.kills // DOCKER_SHARE if options.docker_kills is None else options.docker_kills
            with_engine = lanes.submit(
                lane,
                options,
                EngineFaults(engine, proxy, images).faults(),
                Killing("docker", git, random.Random(options.seed), options.image, engine),
                docker_kills,
                engine,
            )
            # A git server of its own, since the other lane fetches from the first while faults are in front of it.
            with serving(GitServer(root / "repositories")) as faulty:
                without = lane(
                    options,
                    SourceFaults(faulty, archives).faults(),
                    Killing("embedded", git, random.Random(options.seed + 1)),
                    options.kills - docker_kills,
                    None,
                )
            rows = [*with_engine.result(), *without]
    return conclude(options, rows, time.monotonic() - start_s)


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
