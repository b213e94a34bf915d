"""Collects the predictions of a file in a journal beside the output, which survives a failure.

The journal, OUTPUT.partial, has one line for each finished row, in the rows' order. The line of a rejected row begins
with `!`. A resumed run therefore skips as many rows as the journal has whole lines, even after a SIGKILL. When all rows
are finished, the output appears under its own name in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.state.atomic_file import writing_whole

REFUSED = b"!"


@dataclass(frozen=True)
class LineFormat:
    """The text before, between and after the predictions of an output file."""

    opening: bytes
    between: bytes
    closing: bytes


LINES = LineFormat(b"", b"\n", b"\n")
LIST = LineFormat(b"[", b", ", b"]\n")
DOCUMENT = LineFormat(b'{"predictions": [', b",\n", b"]}\n")


class Journal:
    """The journal of finished rows; `done` is their number."""

    def __init__(self, output: Path, *, resume: bool) -> None:
        self.output = output
        self.path = output.with_name(f"{output.name}.partial")
        if not resume:
            self.path.unlink(missing_ok=True)
        self.done = self._whole_lines()

    def _whole_lines(self) -> int:
        """The number of whole lines; truncates the partial line that a killed run may leave."""
        if not self.path.exists():
            return 0
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return whole.count(b"\n")

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The journal, open for appending; an error's fix gets its path and the number of finished rows."""
        try:
            with self.path.open("ab") as file:
                yield file
        except OSError as error:
            what = f"cannot be written: {error.strerror}"
            raise ConfigError(what, where=str(self.output), fix=self._hint()) from error
        except WorkflowError as error:
            error.fix = "; ".join(filter(None, (error.fix, self._hint())))
            raise
        finally:
            if not self.done:
                self.path.unlink(missing_ok=True)

    def _hint(self) -> str:
        return f"{self.done} rows are kept in {self.path}; --resume continues after them" if self.done else ""

    def finish(self, form: LineFormat, errors: str) -> None:
        """Write the output, and the rejected rows to `errors`; then remove the journal."""
        if form is LINES and not self._has_refused():
            self.path.replace(self.output)
            return
        with self.path.open("rb") as lines, writing_whole(self.output) as file:
            _compose((line.rstrip(b"\n") for line in lines if not line.startswith(REFUSED)), form, file.write)
        if errors:
            with self.path.open("rb") as lines, writing_whole(Path(errors)) as file:
                file.writelines(line[len(REFUSED) :] for line in lines if line.startswith(REFUSED))
        self.path.unlink()

    def _has_refused(self) -> bool:
        with self.path.open("rb") as lines:
            return any(line.startswith(REFUSED) for line in lines)


def check_places(source: str, output: str) -> None:
    """Raise ConfigError when the output would overwrite the input."""
    if output and source != "-" and Path(output).exists() and Path(source).exists() and Path(output).samefile(source):
        raise ConfigError("input and output are the same file", where=output, fix="name another file for --output")


def encoded(value: Any) -> bytes:
    """A value as JSON; a lone surrogate, which UTF-8 cannot hold, becomes a JSON escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _compose(lines: Iterator[bytes], form: LineFormat, write: Callable[[bytes], object]) -> None:
    empty = True
    for line in lines:
        write((form.opening if empty else form.between) + line)
        empty = False
    write(form.opening + form.closing if empty else form.closing)
