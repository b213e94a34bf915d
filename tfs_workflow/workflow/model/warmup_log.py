"""Reads off a server's log that it has sent the warm-up requests of what it loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import WorkflowError
from tfs_workflow.formats.savedmodel import WARMUP_FILE
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.model.model_request import newest_version
from tfs_workflow.workflow.project import running

# saved_model_warmup_util.cc
_RAN = re.compile(r"Finished reading warmup data for model at (\S+)\. Number of warmup records read: (\d+)")


@dataclass(frozen=True)
class WarmupRun:
    """The warm-up of one version: the file as the server names it, and how many requests it sent."""

    file: str
    requests: int


def warmup_runs(loaded: LoadedConfig, server: ModelServer) -> list[WarmupRun]:
    """The warm-ups that the log of a server that was just started tells of; where no model has any, none is read."""
    if not any(_has_file(loaded, name) for name in loaded.config.models):
        return []
    runtime, _ = running(loaded)
    return list(warmups_in(runtime.logs(server)))


def warmups_in(log: Iterable[str]) -> Iterator[WarmupRun]:
    """The warm-ups that the lines of a log tell of."""
    for line in log:
        if found := _RAN.search(line):
            yield WarmupRun(found[1], int(found[2]))


def _has_file(loaded: LoadedConfig, name: str) -> bool:
    with suppress(WorkflowError):
        return (newest_version(loaded, name) / WARMUP_FILE).exists()
    return False
