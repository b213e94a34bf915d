"""Reads a version's warm-up file as the server will: TFRecord framing with its checksums, and PredictionLog inside."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from tfs_workflow.errors import ModelInvalid
from tfs_workflow.protos.serving_apis_pb2 import PredictionLog

NAME = "tf_serving_warmup_requests"
PLACE = Path("assets.extra", NAME)
MAX_RECORDS = 1000
# Our checksum takes a second for some megabytes; beyond that only the framing is checked.
CHECKSUMMED_BYTES = 4 << 20
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


def count_records(path: Path) -> int:
    """How many requests the file holds; ModelInvalid where the server would refuse the version for it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelInvalid("the warm-up file cannot be read", where=str(path), evidence=str(error.strerror)) from error
    count = 0
    for record in _records(path, content):
        count += 1
        _check_log(path, count, record)
    if count > MAX_RECORDS:
        raise ModelInvalid(
            f"{count} warm-up requests, more than the server takes",
            where=str(path),
            evidence=f"at most {MAX_RECORDS}",
            fix="record fewer: a handful for each signature is enough",
        )
    return count


def misplaced(version_dir: Path) -> list[Path]:
    """Warm-up files where the server does not look."""
    return [p for p in version_dir.rglob(f"{NAME}*") if p.relative_to(version_dir) != PLACE]


def masked_crc32c(content: bytes) -> int:
    """The checksum of TensorFlow's record format (tsl/lib/hash/crc32c.h)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(path: Path, content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        start = at + _HEADER.size
        if start > len(content):
            raise _damaged(path, at, "cut off in a record's header")
        length, length_crc = _HEADER.unpack_from(content, at)
        if masked_crc32c(content[at : at + 8]) != length_crc:
            raise _damaged(path, at, "the checksum of the record's length is wrong")
        end = start + length
        if end + _CRC.size > len(content):
            raise _damaged(path, at, f"a record of {length} bytes is cut off")
        record = content[start:end]
        if end <= CHECKSUMMED_BYTES and masked_crc32c(record) != _CRC.unpack_from(content, end)[0]:
            raise _damaged(path, at, "the record's checksum is wrong")
        yield record
        at = end + _CRC.size


def _check_log(path: Path, number: int, record: bytes) -> None:
    try:
        log = PredictionLog.FromString(record)
    except DecodeError as error:
        raise _no_log(path, number, str(error)) from error
    if log.WhichOneof("log_type") is None:
        raise _no_log(path, number, "it names no request")


def _no_log(path: Path, number: int, evidence: str) -> ModelInvalid:
    return ModelInvalid(
        f"record {number} of the warm-up file is no PredictionLog",
        where=str(path),
        evidence=evidence,
        fix="write tensorflow_serving.apis.PredictionLog messages, each serialized into one record",
    )


def _damaged(path: Path, at: int, evidence: str) -> ModelInvalid:
    return ModelInvalid(
        "the warm-up file is no TFRecord file, or is damaged",
        where=str(path),
        evidence=f"byte {at}: {evidence}",
        fix="write it with tf.io.TFRecordWriter, or remove it",
    )


def _crc_table() -> list[int]:
    """CRC-32C (Castagnoli), reflected, a byte at a time."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()
