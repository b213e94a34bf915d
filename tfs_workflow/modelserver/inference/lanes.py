"""Chooses where a request runs, by its size, the pace of its model, and batching.

A model that computes for microseconds runs best on the event loop: to hand it to a thread and back takes longer than
the run. A slow model or a large request would hold up all other connections there. So the scheduler puts each request
on one lane, and nothing else in the server compares sizes or reads the pace of a model. rest and rpc hand over
candidates: a fast one, which reads only the commonest requests, and a general one.

The commonest requests of up to `at_once_bytes` take no lane: their fast candidate runs as soon as they are read, by the
prepared call of the model. Measurements: docs/decisions/0009-http-server.md.
"""

from __future__ import annotations

from enum import Enum, auto

from tfs_workflow.modelserver.inference.servable import IN_PLACE, Servable
from tfs_workflow.modelserver.json import array_text, small_numbers
from tfs_workflow.modelserver.tensorflow.session import FloatCall

# The fast candidate of a request of up to this size runs at once.
AT_ONCE_BYTES = small_numbers.MOST_BYTES

# From this size on the fast candidate for arrays is tried.
NUMBER_ARRAY_BYTES = array_text.LEAST_BYTES

# A request of up to this size is read on the event loop; a larger one takes milliseconds on the general way.
IN_PLACE_BYTES = 16 * 2**10

# The largest request that may be read on the event loop.
PARSER_BYTES = array_text.PIECE_BYTES

# So many requests at most wait for their iteration of the event loop, a millisecond or two each.
MAX_DEFERRED = 64


class Lane(Enum):
    """Where a request is prepared and run."""

    # Both on the event loop, before anything else runs there.
    IN_PLACE = auto()
    # The fast candidate on the event loop, one request per iteration, so that small requests pass between.
    DEFERRED = auto()
    # Both on a worker thread.
    THREAD = auto()
    # The same for a large request; such threads read and print one at a time.
    LARGE_THREAD = auto()
    # Prepared on the event loop, run as part of a batch.
    BATCH = auto()
    # Prepared on a worker thread, one at a time, run as part of a batch.
    LARGE_BATCH = auto()


class Lanes:
    """The choice of a server; with `batches` requests are put together before they run."""

    def __init__(self, batches: bool) -> None:
        self._batches = batches
        # A plain number, so that a small request costs one comparison; with batching no size is small enough.
        self.at_once_bytes = -1 if batches else AT_ONCE_BYTES

    def choose(self, size_bytes: int, servable: Servable | None, has_fast: bool) -> Lane:
        """The lane of a request of this size for the likely version, None where that is not known yet."""
        is_large = size_bytes > IN_PLACE_BYTES
        # Pace plays no part with batching: the batcher itself decides where a batch runs.
        if self._batches:
            return Lane.LARGE_BATCH if is_large else Lane.BATCH
        if not is_large:
            return Lane.IN_PLACE if servable is None or servable.pace.is_fast else Lane.THREAD
        if has_fast and size_bytes <= PARSER_BYTES and servable is not None and prepared_call(servable) is not None:
            return Lane.DEFERRED
        return Lane.LARGE_THREAD


def prepared_call(servable: Servable) -> FloatCall | None:
    """The run that a fast candidate may make on the event loop; None for a slow model and another signature."""
    return servable.float_call if servable.pace.is_fast else None


def runs_on_loop(servable: Servable) -> bool:
    """Whether a run of the version may hold up the event loop."""
    return servable.pace.is_fast


def thread_options(servable: Servable | None, options: bytes) -> bytes:
    """The RunOptions of a run on a worker thread: computed by that thread itself where the model is fast or probed."""
    is_alone = servable is not None and (servable.pace.is_fast or servable.pace.is_probing)
    return IN_PLACE if is_alone else options
