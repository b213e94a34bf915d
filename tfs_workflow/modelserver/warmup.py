"""Warm-up: a version's recorded requests, run before it serves (saved_model_warmup.cc).

TensorFlow compiles and allocates during the first run of a graph, which can take a second. A version is therefore run
on its recorded requests before it becomes AVAILABLE, so that no client pays for that. A record that cannot be run makes
the load fail, as in TensorFlow Serving: a model whose own requests fail should not replace one that works.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from tfs_workflow.formats import tfrecord
from tfs_workflow.formats.savedmodel import MAX_WARMUP_RECORDS, WARMUP_FILE
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.inference import methods
from tfs_workflow.modelserver.inference.servable import IN_PLACE, Plan, Servable
from tfs_workflow.modelserver.rpc import messages
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos.serving_apis_pb2 import PredictionLog

_SOURCE = "servables/tensorflow/saved_model_warmup_util.cc"


def warm_up(servable: Servable, version_dir: Path, iterations: int) -> int:
    """Run the version's warm-up requests, if it has any; returns how many. Raises StatusError when one fails."""
    path = version_dir / WARMUP_FILE
    if not path.exists():
        log.info(_SOURCE, f"No warmup data file found at {path}")
        return 0
    log.info(_SOURCE, f"Starting to read warmup data for model at {path}")
    count, started_s = 0, time.perf_counter()
    for record in records(path):
        count += 1
        if count > MAX_WARMUP_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS}) at {path}")
        for _ in range(max(iterations, 1)):
            plan = _plan(servable, record)
            if plan is not None:
                # In this thread, which is a load thread: the threads that serve other models stay free.
                plan.finish(plan.compute(IN_PLACE))
    if servable.metrics is not None:
        servable.metrics.warm_up(str(version_dir), time.perf_counter() - started_s)
    log.info(_SOURCE, f"Finished reading warmup data for model at {path}. Number of warmup records read: {count}.")
    return count


def records(path: Path) -> Iterator[PredictionLog]:
    """The messages of a TFRecord file; raises StatusError when it is not one."""
    try:
        for record in tfrecord.records(path.read_bytes()):
            yield _parsed(record, path)
    except tfrecord.CorruptRecordError as error:
        raise StatusError(
            Code.DATA_LOSS, f"{path}: {error}. Please verify your warmup data is in TFRecord format."
        ) from error


def _parsed(record: bytes, path: Path) -> PredictionLog:
    try:
        return PredictionLog.FromString(record)
    except DecodeError as error:
        shown = record.decode("utf-8", "surrogateescape")
        raise invalid_argument(f"Failed to parse warmup record: {shown} from {path}") from error


def _plan(servable: Servable, record: PredictionLog) -> Plan[Any] | None:
    """The run of a record; None for one without a log, which TensorFlow Serving passes over. Raises StatusError."""
    kind = record.WhichOneof("log_type")
    if kind == "predict_log":
        return messages.predict_plan(servable, record.predict_log.request)
    if kind == "classify_log":
        request = record.classify_log.request
        return methods.classify(
            servable, request.model_spec.signature_name, messages.serialized_examples(request.input)
        )
    if kind == "regress_log":
        regression = record.regress_log.request
        return methods.regress(
            servable, regression.model_spec.signature_name, messages.serialized_examples(regression.input)
        )
    if kind == "multi_inference_log":
        return messages.multi_inference_plan(servable, record.multi_inference_log.request)
    if kind is None:
        return None
    number = PredictionLog.DESCRIPTOR.fields_by_name[kind].number
    raise StatusError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
