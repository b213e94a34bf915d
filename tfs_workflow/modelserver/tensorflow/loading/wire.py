"""The fields of a serialized protobuf message, found where they lie: what they hold is neither parsed nor copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

# Wire types (protobuf.dev/programming-guides/encoding): a number, eight bytes, what has a length, four bytes.
_NUMBER, _EIGHT_BYTES, LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class MalformedError(ValueError):
    """The bytes are no message, or one of a kind that nobody writes."""


class Field(NamedTuple):
    """One field: its number, its wire type, all its bytes, and those of its value alone."""

    number: int
    kind: int
    whole: memoryview
    value: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """The fields in their order; raises MalformedError."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        kind, size = tag & 7, 0
        if kind == LENGTH:
            size, position = _varint(message, position)
            end = position + size
        elif kind == _NUMBER:
            _, end = _varint(message, position)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            end = position + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise MalformedError(f"wire type {kind}")
        if end > len(message):
            raise MalformedError("a field is cut off")
        yield Field(tag >> 3, kind, message[start:end], message[position:end])
        position = end


def with_length(number: int, value: bytes) -> bytes:
    """A serialized field that has a length."""
    return _printed(number << 3 | LENGTH) + _printed(len(value)) + value


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while position < len(content):
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise MalformedError("a number is cut off")


def _printed(number: int) -> bytes:
    """The reverse."""
    printed = bytearray()
    while number > 0x7F:
        printed.append(number & 0x7F | 0x80)
        number >>= 7
    printed.append(number)
    return bytes(printed)
