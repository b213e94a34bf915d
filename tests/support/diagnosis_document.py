"""docs/diagnoses.md from the table of diagnoses: `python -m tests.support.diagnosis_document` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.support.reproductions import CONTAINERS, PROCESSES
from tfs_workflow.health.diagnoses import OVERDUE, ROWS, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "diagnoses.md"
TRACKER = "https://github.com/tensorflow/serving/issues"
HEAD = """# Diagnoses

When a server does not come up, ends, or serves a version that ended, this table says why. `serve` ends with the row
that applies, `status` shows it, `logs` marks the line that tells (`>>`, or red on a terminal) and prints the row's name
with `--json`, and `invoke doctor --after` tells it once more when all is over, from the log that is kept of a start
that failed. The name of a row stays what it is.

A row applies when one of the things in its second column is seen: a line of the log (or the error of a version that
ended) that matches the pattern, an exit code, a flag of the engine, or the time. *Ends the waiting* says that `serve`
gives up at once, although the server still runs.

Every row is reproduced by a test with a real server that fails in this very way, as a local process
(`tests/health/test_diagnoses.py::test_a_process_that_fails_in_this_way_is_diagnosed`) or in a container
(`tests/docker/test_diagnoses.py::test_a_container_that_fails_in_this_way_is_diagnosed`), as the last column says. That
server is the package's own, which uses TensorFlow Serving's words and TensorFlow's own loader. Of `processor-too-old`,
the exit code is reproduced by the signal, and the line of the log is a recorded one, since it takes another processor.

What no row explains is shown with its last lines, and with what a report should hold. To add a row, write it into
`tfs_workflow/health/diagnoses/`, say in `tests/support/reproductions.py` how a server comes to fail in this way, and
run `python -m tests.support.diagnosis_document`, which writes this page.

| name | what shows it | cause | what mends it | tracker | seen in |
| --- | --- | --- | --- | --- | --- |
"""


def document() -> str:
    """The whole text."""
    return HEAD + "".join(f"| {' | '.join(_cells(row))} |\n" for row in ROWS)


def _cells(row: Row) -> Iterator[str]:
    yield f"`{row.name}`"
    yield "; ".join(_evidence(row))
    yield row.cause
    yield row.fix.replace("|", "\\|")
    yield ", ".join(f"[#{issue}]({TRACKER}/{issue})" for issue in row.issues)
    places = {"process": row.name in PROCESSES or row.name not in CONTAINERS, "container": row.name in CONTAINERS}
    yield ", ".join(place for place, is_there in places.items() if is_there)


def _evidence(row: Row) -> Iterator[str]:
    if row.out_of_memory:
        yield "the engine's out-of-memory flag"
    if row.log:
        yield "log: " + _code(row.log) + (f", without {_code(row.unless)}" if row.unless else "")
    if row.status:
        yield f"status: {_code(row.status)}"
    if row.exit_codes:
        yield "exit code " + ", ".join(map(str, row.exit_codes))
    if row in OVERDUE:
        yield "it runs, and its time (`server.ready_timeout_s`) is over"
    if row.name == "vanished":
        yield "its process is not there any more"
    if row.hopeless:
        yield "*ends the waiting*"


def _code(pattern: str) -> str:
    """In a table, a bar ends a cell also within code; its escape is not shown."""
    return "`` " + pattern.replace("|", "\\|") + " ``" if "`" in pattern else "`" + pattern.replace("|", "\\|") + "`"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
