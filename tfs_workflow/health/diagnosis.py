"""Finds why a server failed: applies the table of diagnoses to its exit code, its log and its versions' states.

A log line proves less than an exit code, because servers also log errors that they survive. An exit code that leaves
no doubt therefore comes first. A server that is gone without an exit code may have ended for a reason outside its log:
then only lines about the server itself count, not those about a model. The first matching row of the table wins.
"""

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
    """Cause and fix in plain words, with the evidence; `name` is the table's row, or `unknown`."""

    name: str
    cause: str
    fix: str
    evidence: str

    def error(self, what: str = "", where: str = "") -> ServerNotReadyError:
        """The error to raise; `what` replaces the cause."""
        error = ServerNotReadyError(what or self.cause, where=where, evidence=self.evidence, fix=self.fix)
        error.diagnosis = self.name
        return error


def diagnose(lines: Sequence[str], exit_code: int | None, out_of_memory: bool = False) -> Diagnosis:
    """Why a server ended; for an unknown cause, its last log lines and how to report it.

    An exit code of None means that the process is gone and its exit code is not known.
    """
    lines = _folded(_since_it_served(lines))
    ended = f"exit code {exit_code}" if exit_code is not None else "gone"
    last = f"; last line: {lines[-1].strip()}" if lines else ""
    if out_of_memory:
        memory = next(row for row in FAILURES if row.out_of_memory)
        return _found(memory, f"{ended}, killed by the memory limit{last}")
    if row := _by_exit_code(exit_code, (row for row in FAILURES if row.is_certain)):
        return _found(row, ended + last)
    # Without an exit code, a line about a model does not prove why the server ended.
    if found := _first(FAILURES if exit_code is not None else SERVERS, lines, ended):
        return found
    if exit_code is None:
        return _found(VANISHED, ended + last)
    if row := _by_exit_code(exit_code, FAILURES):
        return _found(row, ended + last)
    return Diagnosis(UNKNOWN, "the cause is not known", REPORT, f"{ended}; last lines:{_last(lines)}")


def hopeless(lines: Sequence[str]) -> Diagnosis | None:
    """The diagnosis that ends the wait although the server still runs; None when no line shows one."""
    return _first((row for row in FAILURES if row.hopeless), lines)


def overdue(lines: Sequence[str]) -> Diagnosis:
    """Why a running server is not ready after its timeout."""
    lines = _folded(lines)
    found = _first((row for row in FAILURES if not row.unless), lines) or _first(OVERDUE, lines)
    return found or _found(OVERDUE[-1], f"still running; last lines:{_last(lines)}")


def ended_version(error_code: str, error_message: str) -> Diagnosis:
    """Why a version ended, from the error in its status."""
    text = f"{error_code}: {error_message}"
    for row in FAILURES:
        if _is_in(row.status, text) or (not row.unless and _is_in(row.log, text)):
            return _found(row, text)
    return Diagnosis(UNKNOWN, "the cause is not known", "fix or remove that version; if it is valid, " + REPORT, text)


def marked(lines: Iterable[str]) -> Iterator[tuple[str, Row | None]]:
    """Each line of a log with the row that it shows; a line that begins with a tab belongs to the line before."""
    first = ""
    for line in lines:
        is_continuation = line.startswith("\t")
        first = first if is_continuation else line
        text = f"{first} {line}" if is_continuation else line
        yield line, next((row for row in FAILURES if not row.unless and _is_in(row.log, text)), None)


def _by_exit_code(exit_code: int | None, rows: Iterable[Row]) -> Row | None:
    return next((row for row in rows if exit_code in row.exit_codes), None)


def _first(rows: Iterable[Row], lines: Sequence[str], state: str = "still running") -> Diagnosis | None:
    for row in rows:
        if line := _evidence_line(row, lines):
            return _found(row, f"{state}; log: {line}")
    return None


def _evidence_line(row: Row, lines: Sequence[str]) -> str:
    """The last line that matches the row; empty when none does."""
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
    """The lines since the REST port was open: an error before that did not end the server."""
    for at in reversed(range(len(lines))):
        if "Exporting HTTP/REST API at" in lines[at]:
            return lines[at:]
    return lines


def _folded(lines: Sequence[str]) -> list[str]:
    """The lines with each continuation, which TensorFlow begins with a tab, joined to the line before."""
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
