"""JSON as RapidJSON reads it in TensorFlow Serving: same values, same error texts, same offsets.

A first parse is orjson's; this one takes what orjson refuses, be it right for TensorFlow Serving (NaN, bytes that are
no UTF-8, duplicate keys) or wrong, and then says what is wrong and where. It never recurses: JSON of any depth is read.
"""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

from tfs_workflow.modelserver.json import rapidjson_numbers
from tfs_workflow.modelserver.json.repeated_keys import RepeatedKeys
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument

Json = Any

_WHITESPACE = re.compile(rb"[ \n\r\t]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]*)?")
# At least eight numbers that cannot overflow and need no check of their own: at most 18 digits, an exponent of at most
# two. orjson reads such a run in one call.
_NUMBERS = re.compile(rb"(?:-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?[ \n\r\t]*,[ \n\r\t]*){8,}")
_NAN_OR_INFINITY = re.compile(rb"-?(?:NaN|Inf(?:inity)?)")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {
    0x22: b'"', 0x2F: b"/", 0x5C: b"\\", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t",
}  # fmt: skip
_BOM = b"\xef\xbb\xbf"
# RapidJSON reads a whole number beyond this as a double.
_UINT64_MAX = 2**64 - 1


def parse(text: bytes) -> Json:
    """The value of a document; raises StatusError with RapidJSON's message and offset.

    Of equal keys the first counts. Strings keep bytes that are no UTF-8 as surrogate escapes.
    """
    _check_empty(text)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Parser(text).document()
    # orjson keeps the last of equal keys. Each key has a colon: no more colons than keys, no key twice.
    return value if _key_count(value) == text.count(b":") else Parser(text).document()


def _key_count(value: Json) -> int:
    count, pending = 0, [value]
    while pending:
        value = pending.pop()
        if type(value) is dict:
            count += len(value)
            pending.extend(v for v in value.values() if type(v) in (dict, list))
        elif value and type(value) is list:
            # A list of scalars, which may be long, is told by its first element; objects are looked for in any case.
            nested = (dict, list) if type(value[0]) in (dict, list) else (dict,)
            pending.extend(v for v in value if type(v) in nested)
    return count


def parse_exactly(text: bytes) -> Json:
    """The same with numbers as RapidJSON reads them, for messages that quote them; ten times as slow."""
    _check_empty(text)
    return Parser(text, exact=True).document()


def _check_empty(text: bytes) -> None:
    """TensorFlow Serving's own check before RapidJSON's, without an offset."""
    if not text:
        raise invalid_argument("JSON Parse error: The document is empty")


class Parser:
    """One pass over a document, with the containers that are open kept on a list."""

    def __init__(self, text: bytes, *, exact: bool = False) -> None:
        self._exact = exact
        # RapidJSON takes a NUL byte for the end of the text.
        end = text.find(b"\0")
        # A sentinel at the end: reading a byte there needs no check of the length.
        self.text = (text if end < 0 else text[:end]) + b"\0"
        # RapidJSON skips the mark of UTF-8.
        self.at = 3 if text.startswith(_BOM) else 0

    def document(self) -> Json:
        """The first value of the document. TensorFlow Serving reads no further, so that more may follow it."""
        self._skip_whitespace()
        if self._peek() == 0:
            raise self._error("The document is empty.")
        return self._value()

    def _value(self) -> Json:
        open_containers: list[tuple[Any, str | None]] = []
        while True:
            value, opened = self._scalar_or_open()
            if opened:
                open_containers.append((value, self._name() if isinstance(value, dict) else None))
                continue
            while open_containers:
                container, name = open_containers[-1]
                if isinstance(container, dict):
                    container = _with_member(container, str(name), value)
                else:
                    container.append(value)
                if not self._closes(container):
                    if isinstance(container, dict):
                        open_containers[-1] = (container, self._name())
                    break
                open_containers.pop()
                value = container
            else:
                return value

    def _scalar_or_open(self) -> tuple[Json, bool]:
        """The next scalar or empty container; or a container that has been opened."""
        byte = self._peek()
        if byte in b"{[":
            self.at += 1
            self._skip_whitespace()
            container: Json = {} if byte == 0x7B else []
            if self._peek() == byte + 2:
                self.at += 1
                return container, False
            if byte == 0x5B:
                self._run_of_numbers(container)
            return container, True
        if byte == 0x22:
            return self._string(), False
        literal = _LITERALS.get(byte)
        return (self._literal(*literal) if literal else self._number()), False

    def _closes(self, container: Json) -> bool:
        """Take the comma or the bracket after an element; whether it was the bracket."""
        self._skip_whitespace()
        byte = self._peek()
        if byte == 0x2C:
            self.at += 1
            self._skip_whitespace()
            if type(container) is list:
                self._run_of_numbers(container)
            return False
        is_object = isinstance(container, dict)
        if byte != (0x7D if is_object else 0x5D):
            what = "'}' after an object member" if is_object else "']' after an array element"
            raise self._error(f"Missing a comma or {what}.")
        self.at += 1
        return True

    def _name(self) -> str:
        if self._peek() != 0x22:
            raise self._error("Missing a name for object member.")
        name = self._string()
        self._skip_whitespace()
        if self._peek() != 0x3A:
            raise self._error("Missing a colon after a name of object member.")
        self.at += 1
        self._skip_whitespace()
        return name

    def _literal(self, spelled: bytes, value: Json) -> Json:
        for byte in spelled:
            if self._peek() != byte:
                raise self._error("Invalid value.")
            self.at += 1
        return value

    def _run_of_numbers(self, container: list[Json]) -> None:
        """Take many plain numbers in one step; the last before the bracket is left."""
        run = None if self._exact else _NUMBERS.match(self.text, self.at)
        if run:
            container.extend(orjson.loads(b"[" + run[0].rstrip(b", \n\r\t") + b"]"))
            self.at = run.end()

    def _number(self) -> float | int:
        start = self.at
        match = _NUMBER.match(self.text, start)
        if not match:
            return self._nan_or_infinity()
        if match[1] == b".":
            raise self._error("Miss fraction part in number.", match.end(1))
        if match[2] and not match[2][-1:].isdigit():
            raise self._error("Miss exponent in number.", match.end())
        self.at = match.end()
        value = rapidjson_numbers.read(match[0]) if self._exact else _nearest(match)
        if value is None:
            raise self._error("Number too big to be stored in double.", start)
        return value

    def _nan_or_infinity(self) -> float:
        match = _NAN_OR_INFINITY.match(self.text, self.at)
        if match and not (match[0].endswith(b"Inf") and self.text[match.end()] == 0x69):
            self.at = match.end()
            return float(match[0])
        at = self.at + (self._peek() == 0x2D)
        # RapidJSON consumes a literal byte by byte; its offset is that of the first byte that does not fit.
        for spelled in (b"NaN", b"Infinity"):
            if self.text[at] == spelled[0]:
                while self.text[at] == spelled[0]:
                    at, spelled = at + 1, spelled[1:]  # noqa: PLW2901  # walks to the byte that differs
        raise self._error("Invalid value.", at)

    def _string(self) -> str:
        self.at += 1
        parts: list[bytes] = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            assert plain is not None  # noqa: S101  # the pattern matches the empty string
            parts.append(plain[0])
            self.at = plain.end()
            byte = self._peek()
            if byte == 0x22:
                self.at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if byte != 0x5C:
                missing = byte == 0
                what = (
                    "Missing a closing quotation mark in string." if missing else "Invalid escape character in string."
                )
                raise self._error(what)
            parts.append(self._escape())

    def _escape(self) -> bytes:
        at = self.at
        escaped = self.text[at + 1]
        if escaped in _ESCAPES:
            self.at += 2
            return _ESCAPES[escaped]
        if escaped != 0x75:
            raise self._error("Invalid escape character in string.", at)
        code = self._hex4(at + 2, at)
        # The first half of a pair; a second half alone is passed on.
        if 0xD800 <= code < 0xDC00:
            if self.text[self.at : self.at + 2] != b"\\u":
                raise self._error("The surrogate pair in string is invalid.", at)
            low = self._hex4(self.at + 2, at)
            if not 0xDC00 <= low < 0xE000:
                raise self._error("The surrogate pair in string is invalid.", at)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode("utf-8", "surrogatepass")

    def _hex4(self, at: int, escape_at: int) -> int:
        digits = _HEX4.match(self.text, at)
        if not digits:
            raise self._error("Incorrect hex digit after \\u escape in string.", escape_at)
        self.at = at + 4
        return int(digits[0], 16)

    def _peek(self) -> int:
        return self.text[self.at]

    def _skip_whitespace(self) -> None:
        match = _WHITESPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _error(self, what: str, at: int | None = None) -> StatusError:
        return invalid_argument(f"JSON Parse error: {what} at offset: {self.at if at is None else at}")


def _nearest(match: re.Match[bytes]) -> float | int | None:
    """The number as Python reads it; None for one that RapidJSON refuses as too big."""
    text = match[0]
    # -0 is read as a double, as an integer has no negative zero.
    if match[1] is None and match[2] is None and len(text) < 21 and text != b"-0":
        whole = int(text)
        if -(2**63) <= whole <= _UINT64_MAX:
            return whole
    value = float(text)
    # What is refused depends on how the number is written: 1e309 is, and 10e308 is an infinity.
    is_far = math.isinf(value) or (match[2] and len(match[2]) > 3)
    return None if is_far and rapidjson_numbers.read(text) is None else value


def _with_member(container: dict[str, Json], name: str, value: Json) -> dict[str, Json]:
    if name in container and not isinstance(container, RepeatedKeys):
        container = RepeatedKeys(container.items())
    if isinstance(container, RepeatedKeys):
        container.add(name, value)
    else:
        container[name] = value
    return container


_LITERALS = {0x6E: (b"null", None), 0x74: (b"true", True), 0x66: (b"false", False)}
