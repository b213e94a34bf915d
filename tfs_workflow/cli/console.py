"""The only module that prints: results to stdout; log lines, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from tfs_workflow.cli.program_name import in_words_of_the_program

if TYPE_CHECKING:
    from loguru import Logger
    from rich.progress import Progress, TaskID

    from tfs_workflow.errors import WorkflowError

# loguru and rich are imported on first use: together they take longer than a whole `invoke --list`.
# ruff: noqa: PLC0415


# Green: serves. Yellow: in transition. Red: ended.
_STATE_COLOURS = {"AVAILABLE": 32, "START": 33, "LOADING": 33, "UNLOADING": 33, "END": 31}
_shown = {"debug": False}
_json = {"lines": False, "printed": False}


class Bars(Protocol):
    """Progress of several things at once."""

    def __call__(self, label: str, done: float, total: float | None, detail: str = "") -> None:
        """Set the bar of `label`, with a detail behind it, to `done` of `total` units (None: unknown)."""


def result(text: str) -> None:
    """Print a line of a result for people, on stdout."""
    print(text, flush=True)


def state_coloured(state: str) -> str:
    """The name of a model version's state, in colour where stdout is shown in colour."""
    code = _STATE_COLOURS.get(state)
    return f"\x1b[{code}m{state}\x1b[0m" if code and _is_stdout_coloured() else state


def result_marked(text: str) -> None:
    """Print a line of a result that should stand out: coloured on a terminal, else behind a mark."""
    result(f"\x1b[1;31m{text}\x1b[0m" if _is_stdout_coloured() else f">> {text}")


def _is_stdout_coloured() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def result_json(value: Any) -> None:
    """Print a result for programs: one JSON document on stdout, on one line where a chain prints several."""
    _json["printed"] = True
    indent = None if _json["lines"] else 2
    print(json.dumps(value, indent=indent, default=str, ensure_ascii=False), flush=True)


def result_error(failure: WorkflowError) -> None:
    """Print an error for programs: one JSON document on stdout, unless the verb has printed its result already."""
    if _json["printed"]:
        return
    parts = {name: in_words_of_the_program(getattr(failure, name)) for name in ("what", "where", "evidence", "fix")}
    result_json({"error": {"code": failure.exit_code} | parts})


def begin_result() -> None:
    """Note that a verb begins, which prints at most one JSON document."""
    _json["printed"] = False


def set_json_lines(lines: bool) -> None:
    """Choose whether each JSON document is printed on one line."""
    _json["lines"] = lines


def error(text: str) -> None:
    """Print an error message, on stderr."""
    label = "\x1b[1;31merror\x1b[0m" if is_coloured() else "error"
    print(f"{label}: {in_words_of_the_program(text)}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Log a line about progress, on stderr."""
    logger().info(in_words_of_the_program(text))


def warn(text: str) -> None:
    """Log a warning, on stderr."""
    logger().warning(in_words_of_the_program(text))


@cache
def warn_once(text: str) -> None:
    """Log a warning that a chain of verbs would repeat only once a run, on stderr."""
    warn(text)


def detail(text: str) -> None:
    """Log a line that only --verbose shows."""
    if _shown["debug"]:
        logger().debug(text)


def step(text: str) -> None:
    """Print the heading of one step of the demo, on stderr."""
    shown = in_words_of_the_program(text)
    print(f"\x1b[1m$ {shown}\x1b[0m" if is_coloured() else f"$ {shown}", file=sys.stderr, flush=True)


def confirmed(question: str) -> bool | None:
    """The user's yes or no; None without a terminal to prompt on."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def set_verbose(verbose: bool) -> None:
    """Choose whether debug lines are shown."""
    _shown["debug"] = verbose
    logger.cache_clear()


@cache
def logger() -> Logger:
    """The only log sink: stderr, coloured on a terminal."""
    from loguru import logger as loguru

    loguru.remove()
    level_format = "<level>{level: <7}</level> {message}" if is_coloured() else "{level: <7} {message}"
    loguru.add(
        lambda line: print(line, end="", file=sys.stderr, flush=True),
        format=level_format,
        level="DEBUG" if _shown["debug"] else "INFO",
        colorize=is_coloured(),
    )
    return loguru


def is_terminal() -> bool:
    """Whether stderr is a terminal that can show progress bars."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def is_coloured() -> bool:
    """Whether stderr is shown in colour (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


@contextmanager
def progress_bars(unit: str = "bytes") -> Iterator[Bars]:
    """Progress bars on a terminal, no output elsewhere; the bars are erased at the end.

    The first report imports rich: a block without a report, or one that first starts a server, is not delayed.
    """
    if not is_coloured():
        yield lambda label, done, total, detail="": None  # noqa: ARG005
        return
    with ExitStack() as stack:
        opened: list[Progress] = []
        tasks: dict[str, TaskID] = {}
        lock = Lock()  # transfers report from their own threads

        def report(label: str, done: float, total: float | None, detail: str = "") -> None:
            with lock:
                if not opened:
                    opened.append(stack.enter_context(_rich_progress(unit)))
                if label not in tasks:
                    tasks[label] = opened[0].add_task(label, total=total)
            description = f"{label}  {detail}" if detail else label
            opened[0].update(tasks[label], completed=done, total=total, description=description)

        yield report


def _rich_progress(unit: str) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*_columns(unit), console=Console(stderr=True), transient=True)


def _columns(unit: str) -> Sequence[Any]:
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    return TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn()


def table(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on stdout; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
