"""The one tree of errors that a user can cause or meet; each class has a stable exit code."""

from __future__ import annotations


class WorkflowError(Exception):
    """An error that ends in one message: where, what, evidence, next step.

    `where` is a place the user knows (a file, a model, an address), `evidence` what was seen there,
    `fix` the next step. All are attributes and all are part of the text.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", evidence: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.evidence = evidence
        self.fix = fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        evidence = f"\n  evidence: {self.evidence}" if self.evidence else ""
        return head + evidence + (f"\n  next step: {self.fix}" if self.fix else "")


class ConfigError(WorkflowError):
    """The YAML, an override from the environment, an option or the workspace is not usable."""

    exit_code = 2


class ToolMissingError(WorkflowError):
    """An engine, a command or an optional package that this step needs is missing or refuses to answer."""

    exit_code = 3


class InvalidModelError(WorkflowError):
    """A model's files cannot be served: wrong layout, no version, unreadable or corrupt."""

    exit_code = 4


class ServerNotReadyError(WorkflowError):
    """A server did not start, did not become AVAILABLE, or does not run.

    `diagnosis` is the name of the row in the table of diagnoses, where one was looked for.
    """

    exit_code = 5
    diagnosis = ""


class PredictionFailedError(WorkflowError):
    """A request to the model server was refused or went wrong."""

    exit_code = 6


class FetchFailedError(WorkflowError):
    """A source or registry answered, but what was requested is not there or did not arrive whole."""

    exit_code = 7


class SourceUnreachableError(FetchFailedError):
    """A source or registry could not be reached; the only failure that moves on to the next source."""


class NotGoodEnoughError(WorkflowError):
    """The server answers, but differently from what was recorded, or not as fast as was wanted."""

    exit_code = 8


class RunInterruptedError(WorkflowError):
    """The user pressed Ctrl-C, or the process received SIGTERM."""

    exit_code = 130
