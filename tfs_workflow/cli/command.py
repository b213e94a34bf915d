"""Shared by all verbs: load the YAML, print the result, turn errors into a message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tfs_workflow.cli import console
from tfs_workflow.cli.signals import interruptible
from tfs_workflow.errors import ConfigError, RunInterruptedError, WorkflowError

if TYPE_CHECKING:
    from tfs_workflow.config.load import LoadedConfig


@dataclass(frozen=True)
class CommandOptions:
    """The options that every verb of a chain shares."""

    config: str = ""
    json: bool = False
    verbose: bool = False
    dry_run: bool = False


class PrintablePlan(Protocol):
    """The plan of a verb, as text and as JSON."""

    def lines(self) -> Iterator[str]:
        """A line for each step."""

    def document(self) -> dict[str, Any]:
        """The plan as a JSON document."""


@contextmanager
def project_command(options: CommandOptions) -> Iterator[LoadedConfig]:
    """Yield the loaded YAML; an expected error inside the block becomes one message and an exit code."""
    from tfs_workflow.config.load import load  # noqa: PLC0415  # a wrong command line needs no YAML

    with reported_errors(options):
        loaded = load(options.config or None)
        if loaded.foreign:
            console.warn_once(f"ignored, as they name no key of the YAML: {', '.join(loaded.foreign)}")
        yield loaded


def show(options: CommandOptions, document: Any, lines: Iterable[str]) -> None:
    """Print the result on stdout: one JSON document with --json, else lines for people."""
    if options.json:
        console.result_json(document)
    else:
        for line in lines:
            console.result(line)


def show_plan(options: CommandOptions, plan: PrintablePlan) -> None:
    """Print the plan of a verb, for --dry-run."""
    lines = (line if line.startswith(" ") else f"would {line}" for line in plan.lines())
    show(options, {"dry_run": True} | plan.document(), lines)


def whole_number(text: str, option: str, *, least: int = 0) -> int:
    """The number in an option's text; raises ConfigError for anything else."""
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"expected a whole number from {least}, got {text!r}", where=option)
    return int(text)


@contextmanager
def reported_errors(options: CommandOptions = CommandOptions()) -> Iterator[None]:  # frozen
    """End the process at an expected error or an interrupt; an unexpected error keeps its traceback."""
    console.set_verbose(options.verbose)
    console.begin_result()
    with interruptible():
        try:
            yield
        except WorkflowError as error:
            _report(error, options)
        except KeyboardInterrupt:
            _report(RunInterruptedError("interrupted; what this step had started is removed"), options)
        except BrokenPipeError:
            # The reader of stdout closed it (| head); without stdout, the interpreter reports no error at exit.
            sys.stdout = None
            sys.exit(0)


def _report(error: WorkflowError, options: CommandOptions) -> None:
    console.error(str(error))
    if options.json:
        console.result_error(error)
    sys.exit(error.exit_code)
