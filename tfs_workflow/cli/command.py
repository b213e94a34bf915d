"""The edge of every verb: the loaded YAML, the result shown, and errors ended in one message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.signals import unwinding
from tfs_workflow.config.load import LoadedConfig, load
from tfs_workflow.errors import Interrupted, WorkflowError


@dataclass(frozen=True)
class Options:
    """The options that every verb has."""

    config: str = ""
    json: bool = False
    verbose: bool = False


@contextmanager
def verb(options: Options) -> Iterator[LoadedConfig]:
    """The loaded YAML; an expected error inside ends in one message and its exit code."""
    with reported_errors(options.verbose):
        yield load(options.config or None)


def show(options: Options, document: Any, lines: Iterable[str]) -> None:
    """The result on stdout: one JSON document with --json, else lines for people."""
    if options.json:
        console.result_json(document)
    else:
        for line in lines:
            console.result(line)


@contextmanager
def reported_errors(verbose: bool = False) -> Iterator[None]:
    """Expected errors and interrupts end the process here; an unexpected error keeps its traceback."""
    console.set_verbose(verbose)
    with unwinding():
        try:
            yield
        except WorkflowError as error:
            console.error(str(error))
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            console.error("interrupted; what this step had started is removed")
            sys.exit(Interrupted.exit_code)
        except BrokenPipeError:
            # The reader of our output went away (| head); without stdout the interpreter has nothing to complain about.
            sys.stdout = None
            sys.exit(0)
