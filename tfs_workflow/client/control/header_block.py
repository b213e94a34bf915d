"""Reads the literal fields of an HPACK header block, for the text of a gRPC error.

The peer was forbidden a dynamic table, and what gRPC adds is not in the static one. So an index is only skipped, and
each field of interest has its name and its value in the block, plain or in Huffman's code (RFC 7541).
"""

from __future__ import annotations

from collections.abc import Iterator

# The printable characters by the length of their code in bits; codes of a length follow each other (RFC 7541,
# appendix B). gRPC encodes every other character with percent signs.
_BY_LENGTH = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
    19: "\\",
}


def literal_fields(block: bytes) -> Iterator[tuple[str, str]]:
    """Name and value of each literal field, the name empty where it is an index.

    Raises IndexError for a block that ends within a field.
    """
    at = 0
    while at < len(block):
        first = block[at]
        # Indexed fields and changes of the table's size have no text.
        bits, has_text = (7, False) if first & 0x80 else (6, True) if first & 0x40 else (5, False)
        if not first & 0xE0:
            bits, has_text = 4, True
        index, at = _number(block, at, bits)
        if has_text:
            name, at = ("", at) if index else _text(block, at)
            value, at = _text(block, at)
            yield name, value


def _number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer whose first byte has so many bits for it, and the place after it (RFC 7541, 5.1)."""
    value, at, shift = block[at] & ((1 << bits) - 1), at + 1, 0
    if value < (1 << bits) - 1:
        return value, at
    while True:
        byte, at = block[at], at + 1
        value, shift = value + ((byte & 0x7F) << shift), shift + 7
        if not byte & 0x80:
            return value, at


def _text(block: bytes, at: int) -> tuple[str, int]:
    is_coded = block[at] & 0x80
    size, at = _number(block, at, 7)
    content = block[at : at + size]
    return (_decoded(content) if is_coded else content.decode(errors="replace")), at + size


def _decoded(content: bytes) -> str:
    """The text behind Huffman's code, up to the padding or a character that is not printable."""
    text, code, length = "", 0, 0
    for bit in (byte >> shift & 1 for byte in content for shift in range(7, -1, -1)):
        code, length = code << 1 | bit, length + 1
        if found := _CODES.get((length, code)):
            text, code, length = text + found, 0, 0
    return text


def _codes() -> Iterator[tuple[tuple[int, int], str]]:
    code, before = 0, 0
    for length, characters in _BY_LENGTH.items():
        code <<= length - before
        for character in characters:
            yield (length, code), character
            code += 1
        before = length


_CODES = dict(_codes())
