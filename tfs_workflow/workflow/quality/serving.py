"""A server for the length of a verb: the one that runs, else one that is set up, started and torn down again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError, ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.setup_record import SetupRequiredError
from tfs_workflow.workflow.prepare import SetupOptions, prepare
from tfs_workflow.workflow.project import running
from tfs_workflow.workflow.remove import remove
from tfs_workflow.workflow.start import start


@contextmanager
def serving(loaded: LoadedConfig, context: TransferContext) -> Iterator[tuple[Runtime, ModelServer]]:
    """The project's running server for the block; one that is started for it is torn down after it."""
    if found := _running(loaded):
        yield found
        return
    context.notify("nothing serves: a server is started for this, and torn down after it")
    try:
        _start(loaded, context)
        yield running(loaded)
    finally:
        remove(loaded, context)


def set_up(loaded: LoadedConfig, context: TransferContext) -> None:
    """Run setup where it has not run."""
    prepare(loaded, context, SetupOptions(pull=True))


def _running(loaded: LoadedConfig) -> tuple[Runtime, ModelServer] | None:
    try:
        return running(loaded)
    except (ServerNotReadyError, ConfigError):
        return None


def _start(loaded: LoadedConfig, context: TransferContext) -> None:
    try:
        start(loaded, context)
    except SetupRequiredError:
        set_up(loaded, context)
        start(loaded, context)
