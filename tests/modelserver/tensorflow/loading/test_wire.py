"""Fields of a serialized message, found where they lie."""

from __future__ import annotations

import pytest

from tfs_workflow.modelserver.tensorflow.loading.wire import MalformedError, fields, with_length
from tfs_workflow.protos import saved_model_pb2 as pb


def test_every_kind_of_field_is_found() -> None:
    entry = pb.BundleEntryProto(shard_id=300, size=2**40, crc32c=7, shape={"dim": [{"size": 3}]})
    found = [(field.number, len(field.value)) for field in fields(memoryview(entry.SerializeToString()))]
    assert sorted(found) == [(2, 4), (3, 2), (5, 6), (6, 4)]


@pytest.mark.parametrize("size", [0, 127, 128, 20_000])
def test_a_field_is_printed_as_it_is_read(size: int) -> None:
    (field,) = fields(memoryview(with_length(15, b"x" * size)))
    assert (field.number, bytes(field.value)) == (15, b"x" * size)
    assert pb.NodeDef.FromString(with_length(1, b"x" * size)).name == "x" * size


@pytest.mark.parametrize("content", [b"\x0a", b"\x0a\x05abc", b"\x80", b"\x0b\x0c", b"\x09\x00", b"\xff" * 4])
def test_what_is_no_message_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedError):
        list(fields(memoryview(content)))
