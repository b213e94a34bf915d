"""JSON as RapidJSON reads it in TensorFlow Serving: same values, same error texts, same offsets.

A first parse is orjson's; this one takes what orjson refuses, be it right for TensorFlow Serving (NaN, bytes that are
no UTF-8, duplicate keys) or wrong, and then says what is wrong and where. It never recurses: JSON of any depth is read.
"""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

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
    if not text:
        raise invalid_argument("JSON Parse error: The document is empty")
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


class Parser:
    """One pass over a document, with the containers that are open kept on a list."""

    def __init__(self, text: bytes) -> None:
        # RapidJSON takes a NUL byte for the end of the text.
        end = text.find(b"\0")
        # A sentinel at the end: reading a byte there needs no check of the length.
        self.text = (text if end < 0 else text[:end]) + b"\0"
        # RapidJSON skips the mark of UTF-8.
        self.at = 3 if text.startswith(_BOM) else 0

    def document(self) -> Json:
        """The only value of the document."""
        self._skip_whitespace()
        if self._peek() == 0:
            raise self._error("The document is empty.")
        value = self._value()
        self._skip_whitespace()
        if self._peek() != 0:
            raise self._error("The document root must not be followed by other values.")
        return value

    def _value(self) -> Json:
        open_containers: list[tuple[Any, str | None]] = []
        while True:
            value, opened = self._scalar_or_open()
            if opened:
                open_containers.append((value, self._name() if type(value) is dict else None))
                continue
            while open_containers:
                container, name = open_containers[-1]
                if type(container) is dict:
                    # RapidJSON's FindMember returns the first of equal keys.
                    container.setdefault(name, value)
                else:
                    container.append(value)
                if not self._closes(container):
                    if type(container) is dict:
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
        is_object = type(container) is dict
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
        run = _NUMBERS.match(self.text, self.at)
        if run:
            container.extend(orjson.loads(b"[" + run[0].rstrip(b", \n\r\t") + b"]"))
            self.at = run.end()

    def _number(self) -> float | int:
        start = self.at
        match = _NUMBER.match(self.text, start)
        if not match:
            return self._nan_or_infinity()
        fraction, exponent = match[1], match[2]
        if fraction == b".":
            raise self._error("Miss fraction part in number.", match.end(1))
        if exponent and not exponent[-1:].isdigit():
            raise self._error("Miss exponent in number.", match.end())
        self.at = match.end()
        # -0 is read as a double, as an integer has no negative zero.
        if fraction is None and exponent is None:
            # A longer one is beyond a double in any case, and Python refuses to convert thousands of digits.
            whole = int(match[0]) if len(match[0]) < 400 else math.inf
            if -(2**63) <= whole <= _UINT64_MAX and match[0] != b"-0":
                return whole
        value = float(match[0])
        if math.isinf(value) or (exponent and int(exponent[1:][:9]) > 308 + len(fraction or b".") - 1):
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


_LITERALS = {0x6E: (b"null", None), 0x74: (b"true", True), 0x66: (b"false", False)}
