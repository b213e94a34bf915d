"""TensorFlow's record files: each record with its length and the checksums of both (tsl/lib/io/record_reader.cc)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Our checksum takes a second for some megabytes; beyond that only the framing is checked.
CHECKSUMMED_BYTES = 4 << 20
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class Damaged(Exception):  # what the file is
    """What begins at the byte `at` is no whole record; `why` says what is wrong with it."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"byte {at}: {why}")
        self.at = at
        self.why = why


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file's content; raises Damaged."""
    at = 0
    while at < len(content):
        start = at + _HEADER.size
        if start > len(content):
            raise Damaged(at, "cut off in a record's header")
        length, length_crc = _HEADER.unpack_from(content, at)
        if masked_crc32c(content[at : at + 8]) != length_crc:
            raise Damaged(at, "the checksum of the record's length is wrong")
        end = start + length
        if end + _CRC.size > len(content):
            raise Damaged(at, f"a record of {length} bytes is cut off")
        record = content[start:end]
        if end <= CHECKSUMMED_BYTES and masked_crc32c(record) != _CRC.unpack_from(content, end)[0]:
            raise Damaged(at, "the record's checksum is wrong")
        yield record
        at = end + _CRC.size


def masked_crc32c(content: bytes) -> int:
    """The checksum of TensorFlow's record format (tsl/lib/hash/crc32c.h)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


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
