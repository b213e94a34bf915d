"""Record files are read whole, or the place of the damage is named."""

from __future__ import annotations

import pytest

from tfs_workflow.formats.tfrecord import CorruptRecordError, framed, records

LARGE = bytes(5 * 2**20)


def test_records_of_any_size_come_back() -> None:
    assert list(records(framed(b"") + framed(b"one") + framed(LARGE))) == [b"", b"one", LARGE]


def test_damage_at_the_end_of_a_large_record_is_found() -> None:
    content = bytearray(framed(LARGE))
    content[-5] ^= 1
    with pytest.raises(CorruptRecordError, match="byte 0: the record's checksum is wrong"):
        list(records(bytes(content)))


def test_damage_after_a_large_record_is_named_with_its_place() -> None:
    content = framed(LARGE) + framed(b"one")[:-1]
    with pytest.raises(CorruptRecordError, match=f"byte {len(framed(LARGE))}: a record of 3 bytes is cut off"):
        list(records(content))
