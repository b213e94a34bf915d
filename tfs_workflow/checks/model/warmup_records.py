"""Reads a version's warm-up file as the server will: TFRecord framing with its checksums, and PredictionLog inside.

A damaged warm-up file makes the whole version fail to load, which is out of proportion to its purpose and hard to find
in the log. The file is read here with the server's own rules (formats/tfrecord.py).
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError

from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import tfrecord
from tfs_workflow.formats.savedmodel import MAX_WARMUP_RECORDS, WARMUP_FILE
from tfs_workflow.protos.serving_apis_pb2 import PredictionLog


def count_records(path: Path) -> int:
    """How many requests the file holds; InvalidModelError where the server would refuse the version for it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidModelError(
            "the warm-up file cannot be read", where=str(path), evidence=str(error.strerror)
        ) from error
    count = 0
    try:
        for record in tfrecord.records(content):
            count += 1
            _check_log(path, count, record)
    except tfrecord.CorruptRecordError as damage:
        raise InvalidModelError(
            "the warm-up file is no TFRecord file, or is damaged",
            where=str(path),
            evidence=str(damage),
            fix="remove it; invoke warmup writes another",
        ) from damage
    if count > MAX_WARMUP_RECORDS:
        raise InvalidModelError(
            f"{count} warm-up requests, more than the server takes",
            where=str(path),
            evidence=f"at most {MAX_WARMUP_RECORDS}",
            fix="record fewer: a handful for each signature is enough",
        )
    return count


def misplaced(version_dir: Path) -> list[Path]:
    """Warm-up files where the server does not look."""
    return [p for p in version_dir.rglob(f"{WARMUP_FILE.name}*") if p.relative_to(version_dir) != WARMUP_FILE]


def _check_log(path: Path, number: int, record: bytes) -> None:
    try:
        log = PredictionLog.FromString(record)
    except DecodeError as error:
        raise _no_log(path, number, str(error)) from error
    if log.WhichOneof("log_type") is None:
        raise _no_log(path, number, "it names no request")


def _no_log(path: Path, number: int, evidence: str) -> InvalidModelError:
    return InvalidModelError(
        f"record {number} of the warm-up file is no PredictionLog",
        where=str(path),
        evidence=evidence,
        fix="write tensorflow_serving.apis.PredictionLog messages, each serialized into one record",
    )
