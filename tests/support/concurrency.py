"""Two verbs of one project at the same time, whichever they are, end in a legal state; a class over a fixture `lab`."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.support.command import CommandLine
from tests.support.faults import servers
from tests.support.forked import Done, Forked
from tfs_workflow.state.workspace import MARKER

VERBS: tuple[tuple[str, ...], ...] = (
    ("setup",),
    ("setup", "--update"),
    ("serve",),
    ("predict",),
    ("describe",),
    ("status",),
    ("logs",),
    ("doctor",),
    ("teardown",),
    ("teardown", "--purge"),
    ("demo",),
)
# Done, not set up (any more), no server (any more), a server that ended while it was asked.
LEGAL_CODES = {0, 2, 5, 6}
SEED = 20_260_101
LATEST_S = 0.4
PAIRS = 10
ENTRIES = {MARKER, ".lock", "state.json", "models", "serving", "run", "staging"}


class Concurrency:
    """Ten pairs on one project, each from the state that the last one left; the fixture `chunk` numbers them."""

    verbs = VERBS

    def test_pairs_of_verbs_end_in_a_legal_state(self, lab: CommandLine, chunk: int) -> None:
        seed = f"{SEED}-{type(self).__name__}-{chunk}"
        choice = random.Random(seed)
        lab.ok("setup")
        for number in range(PAIRS):
            # A second one that comes a little later meets the first one further on.
            delays = (0.0, choice.uniform(0, LATEST_S))
            pair = [Forked.start(lab, *choice.choice(self.verbs), delay_s=delay_s) for delay_s in delays]
            done = [one.done() for one in pair]
            story = f"seed {seed}, pair {number}, second after {delays[1]:.3f} s: {done}"
            problems = [*(p for one in done for p in unusual(one)), *illegal(lab)]
            assert not problems, f"{problems}: {story}"
            if choice.random() < 0.4:  # the others are the beginning of the next pair as they are
                succeeds(lab, "setup", "serve", "predict", because=story)
                if choice.random() < 0.5:
                    succeeds(lab, "teardown", because=story)
                    assert servers(lab) == [], story
        succeeds(lab, "setup", "serve", "predict", "teardown", because=f"seed {seed}")


def succeeds(lab: CommandLine, *words: str, because: str = "") -> None:
    """Run the words, which must end well."""
    done = Forked.start(lab, *words).done()
    assert done.exit_code == 0, f"{done} after {because}"


def unusual(done: Done) -> list[str]:
    """What no verb may do, whatever another one does meanwhile."""
    problems = [] if done.exit_code in LEGAL_CODES else [f"{done.words} ended with {done.exit_code}"]
    return problems + [
        f"{done.words} wrote {word!r}" for word in ("Traceback", "Exception ignored") if word in done.stderr
    ]


def illegal(lab: CommandLine) -> list[str]:
    """Everything that is not as it must be between two verbs."""
    found = servers(lab)
    problems = [f"{len(found)} servers: {found}"] if len(found) > 1 else []
    problems += [f"left behind: {path}" for path in lab.directory.rglob(".*.tmp")]
    problems += [f"left behind: {path}" for path in (lab.workspace / "staging").glob("*")]
    if lab.workspace.exists():
        entries = {path.name for path in lab.workspace.iterdir()}
        problems += [f"foreign: {name}" for name in sorted(entries - ENTRIES)]
        problems += [] if MARKER in entries else [f"a workspace without its marker: {sorted(entries)}"]
        problems += [
            f"{path} is no JSON" for path in [lab.workspace / "state.json"] if path.exists() and not whole(path)
        ]
    lock = lab.directory / "tfs.lock"
    return problems + ([f"{lock} is no JSON"] if lock.exists() and not whole(lock) else [])


def whole(path: Path) -> bool:
    """Whether a file holds one JSON document."""
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True
