"""A server for verbs that need one for a while: the one that runs, else one that is removed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.prepare import SetupOptions, prepare
from tfs_workflow.workflow.project import running
from tfs_workflow.workflow.remove import remove
from tfs_workflow.workflow.start import start, start_after_setup

_USUAL_SETUP = SetupOptions()


@contextmanager
def running_or_temporary(
    loaded: LoadedConfig,
    context: TransferContext,
    setup: SetupOptions = _USUAL_SETUP,
) -> Iterator[ModelServer]:
    """The project's running server; without one, a server is set up, started, and removed after the block.

    `setup` is how a missing set-up runs. Raises what `prepare` and `start` raise.
    """
    try:
        _, server = running(loaded)
    except ServerNotReadyError:
        context.notify("no server runs: one is started, and removed afterwards")
    else:
        yield server
        return
    # The progress of a start is in seconds, not in bytes.
    without_bars = TransferContext(notify=context.notify)
    done = start_after_setup(
        partial(start, loaded, without_bars), partial(prepare, loaded, context, setup), context.notify
    )
    try:
        yield done.server
    finally:
        # Another verb may have started it while this one waited.
        if not done.unchanged:
            remove(loaded, context)
