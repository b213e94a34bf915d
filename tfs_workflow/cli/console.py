"""The only module that prints: results to stdout; log lines, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from tfs_workflow.cli.program_name import in_words_of_the_program

if TYPE_CHECKING:
    from loguru import Logger

    from tfs_workflow.errors import WorkflowError

# loguru and rich are imported where they are first used: together they would cost more than a whole `invoke --list`.
# ruff: noqa: PLC0415


_shown = {"debug": False}
_json = {"lines": False}


class Bars(Protocol):
    """Progress of several things at once."""

    def __call__(self, label: str, done: int, total: int | None) -> None:
        """Report that `done` of `total` units (None: unknown) of `label` are there."""


def result(text: str) -> None:
    """A result for people, on stdout."""
    print(text, flush=True)


def result_marked(text: str) -> None:
    """A line of a result that the reader should find: coloured on a terminal, else behind a mark."""
    coloured = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    result(f"\x1b[1;31m{text}\x1b[0m" if coloured else f">> {text}")


def result_json(value: Any) -> None:
    """A result for programs: one JSON document on stdout, in one line where a chain prints several."""
    indent = None if _json["lines"] else 2
    print(json.dumps(value, indent=indent, default=str, ensure_ascii=False), flush=True)


def result_error(failure: WorkflowError) -> None:
    """An error for programs: one JSON document on stdout."""
    parts = {name: in_words_of_the_program(getattr(failure, name)) for name in ("what", "where", "evidence", "fix")}
    result_json({"error": {"code": failure.exit_code} | parts})


def set_json_lines(lines: bool) -> None:
    """Print each JSON document in one line from now on, or not."""
    _json["lines"] = lines


def error(text: str) -> None:
    """An error message, on stderr."""
    label = "\x1b[1;31merror\x1b[0m" if is_coloured() else "error"
    print(f"{label}: {in_words_of_the_program(text)}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """A line about what happens, on stderr."""
    logger().info(in_words_of_the_program(text))


def warn(text: str) -> None:
    """A line that the user should not miss, on stderr."""
    logger().warning(in_words_of_the_program(text))


def detail(text: str) -> None:
    """A line that only --verbose shows."""
    if _shown["debug"]:
        logger().debug(text)


def step(text: str) -> None:
    """The heading of one step of the demo, on stderr."""
    shown = in_words_of_the_program(text)
    print(f"\x1b[1m$ {shown}\x1b[0m" if is_coloured() else f"$ {shown}", file=sys.stderr, flush=True)


def confirmed(question: str) -> bool | None:
    """The user's yes or no; None where nobody sits at a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def set_verbose(verbose: bool) -> None:
    """Show debug lines from now on, or not."""
    _shown["debug"] = verbose
    logger.cache_clear()


@cache
def logger() -> Logger:
    """The one log sink: stderr, coloured only on a terminal."""
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
    """Whether progress bars make sense."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def is_coloured() -> bool:
    """Whether stderr takes colours (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


@contextmanager
def progress_bars(unit: str = "bytes") -> Iterator[Bars]:
    """Bars on a terminal that takes them, and silence elsewhere; nothing stays on the screen afterwards."""
    if not is_coloured():
        yield lambda label, done, total: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(*_columns(unit), console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total)
            progress.update(tasks[label], completed=done, total=total)

        yield report


def _columns(unit: str) -> Sequence[Any]:
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    return TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn()


def table(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on stdout; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
