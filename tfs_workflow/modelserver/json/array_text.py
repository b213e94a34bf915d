"""Predict requests that hold nothing but a regular array of numbers, as JSON.

simdjson parses the array straight into memory: 64 x 784 numbers take 1.4 ms instead of 8.5 ms through orjson and lists
(docs/decisions/0009-http-server.md). Whatever else a request holds, right or wrong, is left to the general way. This
module needs no numpy, so that a front can read such a request.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import simdjson

from tfs_workflow.modelserver.exchange import Body, Shape

# From this size on simdjson reads an array of numbers faster than orjson and lists.
LEAST_BYTES = 4 * 2**10
# What a parser reads in one go, some milliseconds' worth, since no other thread runs meanwhile.
PIECE_BYTES = 512 * 2**10

# Parsing needs the interpreter's lock all the time: threads that parse at the same time only slow each other down.
_turn = threading.Lock()
_parser = simdjson.Parser()  # used again, since the memory of a new one has to be had from the system first

_HEAD = re.compile(
    rb'\s*\{\s*(?:"signature_name"\s*:\s*"(?P<signature>[A-Za-z0-9_./-]*)"\s*,\s*)?"(?P<key>instances|inputs)"\s*:\s*'
    # The rank is bounded, and with it the work of the pattern.
    rb"(?P<opening>(?:\[\s*){1,16})"
)
_TAIL = re.compile(rb"\]\s*\}\s*")
_TINY = b"0" * 37  # the smallest normal float is 1.2e-38
_LOOK_BYTES = 16 * 1024
_FEW_LISTS = 256

# How many lists begin in a text of lists and numbers.
CountLists = Callable[[bytes], int]


class ArrayText(NamedTuple):
    """{"instances": …} or {"inputs": …} with an array of numbers and at most a signature name before it.

    `parts` together hold the numbers as doubles. `may_be_tiny`: one of them may be smaller than the smallest normal
    float, without being zero.
    """

    signature_name: str
    key: str
    shape: Shape
    parts: list[memoryview]
    may_be_tiny: bool


def count_lists(text: bytes) -> int:
    """How many lists begin in a text of lists and numbers."""
    return text.count(b"[")


def read(body: Body, count: CountLists = count_lists) -> ArrayText | None:
    """The array of a request; None when the request is anything else, right or wrong."""
    head = _HEAD.match(body)
    tail = _TAIL.fullmatch(body, max(body.rfind(b"]"), 0))
    if head is None or tail is None:
        return None
    rank = head["opening"].count(b"[")
    start, end = head.start("opening"), tail.start() + 1
    try:
        may_be_tiny = True
        if end - start <= PIECE_BYTES:
            text = bytes(body[start:end])
            shape, numbers = _piece(text, rank, count)
            parts = [numbers]
            may_be_tiny = _may_hold_tiny(text)
        else:
            pieces = _pieces(body, start + 1, end - 1, rank)
            shape, parts = _joined([_piece(piece, rank, count) for piece in pieces])
    except (ValueError, RuntimeError, TypeError, OverflowError):
        return None
    return ArrayText((head["signature"] or b"").decode(), head["key"].decode(), shape, parts, may_be_tiny)


def _may_hold_tiny(text: bytes) -> bool:
    """Tiny numbers have an exponent or many zeros; in a long text to look at the numbers is quicker."""
    return len(text) > _LOOK_BYTES or b"e" in text or b"E" in text or _TINY in text


def _joined(read_pieces: list[tuple[Shape, memoryview]]) -> tuple[Shape, list[memoryview]]:
    """The array of whose outermost list these are parts; raises ValueError when they differ in shape."""
    (rest,) = {shape[1:] for shape, _ in read_pieces}
    return (sum(shape[0] for shape, _ in read_pieces), *rest), [numbers for _, numbers in read_pieces]


def _pieces(body: Body, start: int, end: int, rank: int) -> Iterator[bytes]:
    """The elements of the outermost list, many at a time, each time as a list of their own.

    A piece ends only where an element of the outermost list ends, so that each is valid JSON by itself. The pattern
    counts the closing brackets before a comma, which is right only because the array holds nothing but numbers;
    anything else fails to parse as numbers, and the request goes the general way.
    """
    view = memoryview(body)
    while end - start > PIECE_BYTES:
        comma = re.compile(rb"\]\s*" * (rank - 1) + rb",").search(body, start + PIECE_BYTES, end)
        if comma is None:
            break
        yield b"".join((b"[", view[start : comma.end() - 1], b"]"))
        start = comma.end()
    yield b"".join((b"[", view[start:end], b"]"))


def _piece(text: bytes, rank: int, count: CountLists) -> tuple[Shape, memoryview]:
    """Shape and numbers of a list; raises ValueError or TypeError when it is not regular or not of numbers."""
    with _turn:
        array: Any = _parser.parse(text)
        try:
            numbers = memoryview(array.as_buffer(of_type="d"))
            size = numbers.nbytes // 8
            is_row = _is_row(text, rank)
            # A single row, which is the commonest request, needs no look at the lists.
            shape = (1,) * (rank - 1) + (size,) if is_row else _regular_shape(array, text, rank, count)
        finally:
            del array  # the parser is free for the next only then
    if not size or size != math.prod(shape):
        raise ValueError(shape)
    return shape, numbers


def _is_row(text: bytes, rank: int) -> bool:
    """Whether valid JSON is a single list of numbers, in as many lists as the rank says."""
    return text.startswith(b"[" * rank) and text.find(b"[", rank) < 0 and text.endswith(b"]" * rank)


def _regular_shape(array: Any, text: bytes, rank: int, count: CountLists) -> Shape:
    """The shape when every list has the length of its siblings; raises ValueError otherwise."""
    sizes, level = [len(array)], [array]
    while isinstance(level[0][0] if len(level[0]) else None, simdjson.Array):
        level = [element for parent in level for element in parent]
        if not all(isinstance(element, simdjson.Array) for element in level):
            raise ValueError(sizes)
        lengths = {len(element) for element in level}
        if len(lengths) > 1:
            raise ValueError(lengths)
        sizes.append(lengths.pop())
    shape = tuple(sizes)
    expected = _list_count(shape)
    found = _count_few(text, expected) if expected <= _FEW_LISTS else count(text)
    if len(shape) != rank or found != expected:
        raise ValueError(shape)
    return shape


def _count_few(text: bytes, most: int) -> int:
    """How many lists begin in a text, one more than `most` at most: to find each is faster than to look at all."""
    count, start = 0, text.find(b"[")
    while start >= 0 and count <= most:
        count, start = count + 1, text.find(b"[", start + 1)
    return count


def _list_count(shape: Shape) -> int:
    """How many lists an array of this shape is written with."""
    return 1 + sum(math.prod(shape[:depth]) for depth in range(1, len(shape)))
