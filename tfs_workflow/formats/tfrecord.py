"""TensorFlow's record files: each record with its length and the checksums of both (tsl/lib/io/record_reader.cc).

The length has a checksum of its own, since a wrong length would make everything after it unreadable. Checksums are
masked: the CRC of data that contains its own CRC would otherwise be weak (crc32c.h). A file is read as a whole, since a
warm-up file holds a thousand records at most.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import google_crc32c

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class CorruptRecordError(Exception):
    """What begins at the byte `at` is not a whole record; `why` says what is wrong with it."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"byte {at}: {why}")
        self.at = at
        self.why = why


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file's content; raises CorruptRecordError."""
    at = 0
    while at < len(content):
        start = at + _HEADER.size
        if start > len(content):
            raise CorruptRecordError(at, "cut off in a record's header")
        length, length_crc = _HEADER.unpack_from(content, at)
        # Before the length is used: a wrong one would point anywhere.
        if masked_crc32c(content[at : at + 8]) != length_crc:
            raise CorruptRecordError(at, "the checksum of the record's length is wrong")
        end = start + length
        if end + _CRC.size > len(content):
            raise CorruptRecordError(at, f"a record of {length} bytes is cut off")
        record = content[start:end]
        if masked_crc32c(record) != _CRC.unpack_from(content, end)[0]:
            raise CorruptRecordError(at, "the record's checksum is wrong")
        yield record
        at = end + _CRC.size


def framed(content: bytes) -> bytes:
    """A record with its length and the checksums of both."""
    length = _HEADER.pack(len(content), 0)[:8]
    return length + _CRC.pack(masked_crc32c(length)) + content + _CRC.pack(masked_crc32c(content))


def masked_crc32c(content: bytes) -> int:
    """The checksum of TensorFlow's record format (tsl/lib/hash/crc32c.h)."""
    crc: int = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
