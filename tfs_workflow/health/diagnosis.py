"""Why a server failed: the table of diagnoses, applied to its exit code, its log and the states of its versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.health.diagnoses import FAILURES, OVERDUE, SERVERS, VANISHED, Row

UNKNOWN = "unknown"
LAST_LINES = 8
REPORT = (
    "report it in the issue tracker of tfs-workflow, with the output of `invoke doctor --after --json` and "
    "`invoke doctor --json`, and your YAML without its secrets"
)


@dataclass(frozen=True)
class Diagnosis:
    """Cause and fix in plain words, with what shows it; `name` is the table's row, or `unknown`."""

    name: str
    cause: str
    fix: str
    evidence: str

    def error(self, what: str = "", where: str = "") -> ServerNotReadyError:
        """The error to raise; `what` stands in place of the cause."""
        error = ServerNotReadyError(what or self.cause, where=where, evidence=self.evidence, fix=self.fix)
        error.diagnosis = self.name
        return error


def diagnose(lines: Sequence[str], exit_code: int | None, out_of_memory: bool = False) -> Diagnosis:
    """What ended a server; never empty: of an unknown failure the last lines, and how to report it.

    An exit code of None says that it is gone and nobody saw how.
    """
    lines = _folded(_since_it_served(lines))
    ended = f"exit code {exit_code}" if exit_code is not None else "gone"
    last = f"; last line: {lines[-1].strip()}" if lines else ""
    if out_of_memory:
        memory = next(row for row in FAILURES if row.out_of_memory)
        return _found(memory, f"{ended}, killed by the memory limit{last}")
    if row := _by_exit_code(exit_code, (row for row in FAILURES if row.is_certain)):
        return _found(row, ended + last)
    # What a server says of a model explains no end that nobody saw.
    if found := _first(FAILURES if exit_code is not None else SERVERS, lines, ended):
        return found
    if exit_code is None:
        return _found(VANISHED, ended + last)
    if row := _by_exit_code(exit_code, FAILURES):
        return _found(row, ended + last)
    return Diagnosis(UNKNOWN, "the cause is not known", REPORT, f"{ended}; last lines:{_last(lines)}")


def hopeless(lines: Sequence[str]) -> Diagnosis | None:
    """The diagnosis that ends the waiting although the server still runs, if a line shows one."""
    return _first((row for row in FAILURES if row.hopeless), lines)


def overdue(lines: Sequence[str]) -> Diagnosis:
    """Why a server that runs is not ready although its time is over."""
    lines = _folded(lines)
    found = _first((row for row in FAILURES if not row.unless), lines) or _first(OVERDUE, lines)
    return found or _found(OVERDUE[-1], f"still running; last lines:{_last(lines)}")


def ended_version(error_code: str, error_message: str) -> Diagnosis:
    """Why a version ended, from its status."""
    text = f"{error_code}: {error_message}"
    for row in FAILURES:
        if _is_in(row.status, text) or (not row.unless and _is_in(row.log, text)):
            return _found(row, text)
    return Diagnosis(UNKNOWN, "the cause is not known", "mend or remove that version; if it is sound, " + REPORT, text)


def marked(lines: Iterable[str]) -> Iterator[tuple[str, Row | None]]:
    """Each line of a log with the row that it alone shows, or with the line that it goes on from."""
    begun = ""
    for line in lines:
        goes_on = line.startswith("\t")
        begun = begun if goes_on else line
        text = f"{begun} {line}" if goes_on else line
        yield line, next((row for row in FAILURES if not row.unless and _is_in(row.log, text)), None)


def _by_exit_code(exit_code: int | None, rows: Iterable[Row]) -> Row | None:
    return next((row for row in rows if exit_code in row.exit_codes), None)


def _first(rows: Iterable[Row], lines: Sequence[str], state: str = "still running") -> Diagnosis | None:
    for row in rows:
        if line := _telling_line(row, lines):
            return _found(row, f"{state}; log: {line}")
    return None


def _telling_line(row: Row, lines: Sequence[str]) -> str:
    """The last line that shows the row; empty when none does."""
    for line in reversed(lines) if row.log else ():
        if (match := re.search(row.log, line)) is None:
            continue
        if not row.unless:
            return line.strip()
        undone = row.unless.replace("WHAT", re.escape(match[1]))
        if not any(_is_in(undone, other) for other in lines):
            return f"{line.strip()}\n    {lines[-1].strip()}"
    return ""


def _since_it_served(lines: Sequence[str]) -> Sequence[str]:
    """The lines since REST was open: what went wrong before that did not end the server."""
    for at in reversed(range(len(lines))):
        if "Exporting HTTP/REST API at" in lines[at]:
            return lines[at:]
    return lines


def _folded(lines: Sequence[str]) -> list[str]:
    """The lines with those that go on behind a tab, as TensorFlow writes them, put behind what they belong to."""
    folded: list[str] = []
    for line in lines:
        if folded and line.startswith("\t"):
            folded[-1] += " " + line.strip()
        else:
            folded.append(line)
    return folded


def _is_in(pattern: str, text: str) -> bool:
    return bool(pattern) and re.search(pattern, text) is not None


def _found(row: Row, evidence: str) -> Diagnosis:
    return Diagnosis(row.name, row.cause, row.fix, evidence)


def _last(lines: Sequence[str]) -> str:
    return "".join(f"\n    {line}" for line in lines[-LAST_LINES:]) or " none"
