"""Why a server failed: evidence (exit code, out-of-memory flag, log lines) to cause to fix, in one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One row: it applies when its pattern is in the log or its exit code is seen.

    `hopeless` rows end the waiting even while the server still runs.
    """

    cause: str
    fix: str
    pattern: re.Pattern[str] | None = None
    exit_codes: tuple[int, ...] = ()
    hopeless: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """Cause and fix in plain words, with the telling log line or exit code."""

    cause: str
    fix: str
    evidence: str


def _log(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# In order: the first row that applies wins, so telling lines stand before bare exit codes.
RULES = (
    Rule(
        "the base path holds no version directory",
        "a base path needs numeric version directories such as 1/ or 00000123/, each with a saved_model.pb",
        _log(r"No versions of servable .* found under base path"),
        hopeless=True,
    ),
    Rule(
        "a model's base path is not there for the server",
        "check the model's source and path",
        _log(r"Could not find base path .* for servable"),
        hopeless=True,
    ),
    Rule(
        "a label names a version that is not loaded",
        "give the label a version that is there, and let `versions` serve it",
        _log(r"Request to assign label to version"),
    ),
    Rule(
        "the server cannot read the model's files",
        "make them readable: chmod -R a+rX on the model's directory",
        _log(r"Permission denied"),
    ),
    Rule(
        "saved_model.pb is not a SavedModel: empty, cut off, or another file",
        "fetch or export the model again, then: invoke setup --update",
        _log(r"Can't parse .*saved_model\.pb as binary proto|DATA_LOSS|Data loss"),
    ),
    Rule(
        "the model needs an operation that this server does not have",
        "use a server image at least as new as the TensorFlow that exported the model",
        _log(r"Op type not registered"),
    ),
    Rule(
        "the model's variables are missing or incomplete",
        "export the model again: variables/ must hold variables.index and its data files",
        _log(r"variables.*(not found|No such file)|Unsuccessful TensorSliceReader"),
    ),
    Rule(
        "the server found no SavedModel where one should be",
        "each version directory must hold saved_model.pb",
        _log(r"Could not find SavedModel|Could not find meta graph def"),
    ),
    Rule(
        "a port that the server needs is in use inside its network",
        "set rest_port and grpc_port to other ports or to auto",
        _log(r"Address already in use|Failed to bind"),
    ),
    Rule(
        "the configuration was refused",
        "see the line above; `server.flags` and `models` in the YAML produce it",
        _log(r"Invalid protobuf file|Failed to start server\. Error: INVALID_ARGUMENT|Error parsing text-format"),
    ),
    Rule(
        "this processor lacks instructions that the server was built for (AVX), or it is emulated",
        "set runtime: embedded, or use an image built for this processor",
        _log(r"Illegal instruction|was compiled to use .* instructions, but these aren't available"),
        exit_codes=(132,),
    ),
    Rule(
        "the image has no model server where it is expected",
        "server.image must keep the layout of tensorflow/serving",
        _log(r"exec .*tensorflow_model_server.* failed|no such file or directory"),
        exit_codes=(127,),
    ),
    Rule("the server was killed from outside", "run invoke serve again; see the machine's log", exit_codes=(137,)),
    Rule("the server crashed", "see invoke logs, and report it with them", exit_codes=(134, 139)),
)

OUT_OF_MEMORY = Rule("the server ran out of memory", "raise server.memory, or serve a smaller model")
UNKNOWN = Rule("the cause is not known", "see the log lines; please report them as an issue of tfs-workflow")


def diagnose(lines: Sequence[str], exit_code: int | None, out_of_memory: bool = False) -> Diagnosis:
    """Cause, fix and evidence of a failed start; never empty: an unknown failure shows the last lines."""
    if out_of_memory:
        return Diagnosis(OUT_OF_MEMORY.cause, OUT_OF_MEMORY.fix, f"exit code {exit_code}, killed by the memory limit")
    for rule in RULES:
        if (evidence := _evidence(rule, lines, exit_code)) is not None:
            return Diagnosis(rule.cause, rule.fix, evidence)
    return Diagnosis(UNKNOWN.cause, UNKNOWN.fix, _ended(exit_code) + "; last lines:\n    " + "\n    ".join(lines[-8:]))


def hopeless(lines: Sequence[str]) -> Diagnosis | None:
    """The diagnosis that ends the waiting although the server still runs, if a line shows one."""
    for rule in RULES:
        if rule.hopeless and (evidence := _evidence(rule, lines, None)) is not None:
            return Diagnosis(rule.cause, rule.fix, evidence)
    return None


def _evidence(rule: Rule, lines: Sequence[str], exit_code: int | None) -> str | None:
    if rule.pattern is not None:
        for line in reversed(lines):
            if rule.pattern.search(line):
                return f"{_ended(exit_code)}; log: {line.strip()}" if exit_code is not None else f"log: {line.strip()}"
    if exit_code in rule.exit_codes:
        return _ended(exit_code) + (f"; last line: {lines[-1].strip()}" if lines else "")
    return None


def _ended(exit_code: int | None) -> str:
    return "still running" if exit_code is None else f"exit code {exit_code}"
