"""The metrics by name: TensorFlow Serving's, and our own of a server with fronts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# From 10 microseconds to about 25 minutes; the sizes of batches from 1 to 16,384 rows.
_LATENCY_BUCKETS = [10 * 1.8**i for i in range(33)]
_SIZE_BUCKETS = [2.0**i for i in range(15)]
_SERVING = ":tensorflow:serving:"
_BATCHING = f"{_SERVING}batching_session:"
_LOADING = ":tensorflow:cc:saved_model:"
_OWN = ":tfs_workflow:modelserver:"


class Family(NamedTuple):
    """A metric: a counter, or a histogram with the upper bounds of its buckets."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    bounds: Sequence[float] = ()


REQUESTS = Family(f"{_SERVING}request_count", "Requests by model and status.", ("model_name", "status"))
LATENCY = Family(
    f"{_SERVING}request_latency",
    "Microseconds of a request.",
    ("model_name", "API", "entrypoint"),
    _LATENCY_BUCKETS,
)
LOADS = Family(f"{_LOADING}load_attempt_count", "Loads by result.", ("model_path", "status"))
LOAD_LATENCY = Family(f"{_LOADING}load_latency", "Microseconds of loads.", ("model_path",))
QUEUEING = Family(f"{_BATCHING}queuing_latency", "Microseconds in a queue.", ("thread_pool_name",), _LATENCY_BUCKETS)
BATCH_SIZES = Family(f"{_BATCHING}processed_batch_size", "Rows of a batch.", (), _SIZE_BUCKETS)
PADDING = Family(f"{_BATCHING}padding_size", "Rows added to a batch.", ("execution_batch_size",), _SIZE_BUCKETS)
RUNS = Family(f"{_BATCHING}wrapped_run_count", "Batches run.")
# What a front answers in place of the engine, or leaves without an answer.
UNRUN = Family(f"{_OWN}unrun_count", "Requests that the engine has not answered, by reason.", ("reason",))
ENDS = Family(f"{_OWN}end_count", "Processes that ended and were replaced, by exit code.", ("process", "exit_code"))

SERVINGS = (REQUESTS, LATENCY, LOADS, LOAD_LATENCY, QUEUEING, BATCH_SIZES, PADDING, RUNS)
# Shown once there is something to show.
OWN = (UNRUN, ENDS)
