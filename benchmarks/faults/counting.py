"""One trial of one fault, and the table that counts them."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmarks.faults.lab import Lab


@dataclass(frozen=True)
class Ended:
    """How the verb that met the fault ended."""

    exit_code: int
    message: str

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str]) -> Ended:
        """From a verb that was waited for."""
        return cls.said(done.returncode, done.stderr)

    @classmethod
    def said(cls, exit_code: int, stderr: str) -> Ended:
        """From what it left."""
        return cls(exit_code, _first_error(stderr))


@dataclass
class Row:
    """Every trial of one fault; `exit_codes` that were expected, and whether the verb itself has to clean up."""

    fault: str
    expected: frozenset[int]
    cleans_up: bool = True
    exit_codes: Counter[int] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    left_at_once: int = 0
    left_in_the_end: int = 0
    recovered: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        """How many trials."""
        return sum(self.exit_codes.values())

    def add(self, lab: Lab, ended: Ended, again: tuple[str, ...] = ()) -> None:
        """Look at what one trial left, run again (these words and the chain), tear down, and look once more."""
        self.exit_codes[ended.exit_code] += 1
        if ended.message:
            self.messages[ended.message] += 1
        if ended.exit_code not in self.expected:
            self.problems.append(f"exit code {ended.exit_code}: {ended.message}")
        if "Traceback" in ended.message:
            self.problems.append(ended.message)
        # A server that was there before, or was started well, is meant to be there.
        left = lab.half_files() + (lab.servers() if ended.exit_code and not lab.serves else [])
        if left:
            self.left_at_once += 1
            if self.cleans_up:
                self.problems.append(f"left by the verb: {left}")
        self._run_again(lab, again)

    def _run_again(self, lab: Lab, again: tuple[str, ...]) -> None:
        done = lab.run("setup", "serve", *again, "predict", "teardown", "--purge")
        if done.returncode == 0 and "[2.5, 3.0, 4.5]" in done.stdout.splitlines():
            self.recovered += 1
        else:
            self.problems.append(f"the next run: exit code {done.returncode}: {done.stderr[-800:]}")
            lab.run("teardown", "--purge")
        if left := lab.left_behind():
            self.left_in_the_end += 1
            self.problems.append(f"after teardown: {left}")


HEAD = ("fault", "injected", "exit codes", "most frequent message", "left by the verb", "left in the end", "recovered")


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The rows as Markdown."""
    yield _line(*HEAD)
    yield _line("---", "--:", "---", "---", "--:", "--:", "--:")
    for row in rows:
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(row.exit_codes.items()))
        message = row.messages.most_common(1)[0][0] if row.messages else ""
        counts = (row.left_at_once, row.left_in_the_end, row.recovered)
        yield _line(row.fault, str(row.injected), codes, message, *map(str, counts))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _first_error(text: str) -> str:
    """The message's first line, without what differs from run to run."""
    if "Traceback (most recent call last)" in text:
        return "Traceback: " + text.strip().splitlines()[-1]
    line = next((line for line in text.splitlines() if line.startswith("error: ")), "").removeprefix("error: ")
    line = re.sub(r"test-[0-9a-f]{10}", "<project>", line)
    line = re.sub(r"(/[\w.-]+)*/tfs-(lab-)?[\w]+", "…", line)
    return re.sub(r"127\.0\.0\.1:\d+", "<address>", line)
