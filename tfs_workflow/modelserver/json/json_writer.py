"""JSON values as TensorFlow Serving quotes them in messages: as RapidJSON's PrettyWriter does, with Grisu2's digits.

The numbers of answers are printed elsewhere (rest/json_response.py).
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Callable
from itertools import islice
from typing import Any

from tfs_workflow.modelserver.json.grisu import shortest
from tfs_workflow.modelserver.json.repeated_keys import members

Json = Any

# RapidJSON's writer is stopped once it has printed so much.
_QUOTED_CHARACTERS = 256

_SINGLE = struct.Struct("f")


def type_name(value: Json) -> str:
    """RapidJSON's name of a value's type, as TensorFlow Serving prints it."""
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, dict):
        return "Object"
    return {type(None): "Null", list: "Array", str: "String"}.get(type(value), "Number")


# Upper-case digits, as RapidJSON writes them.
_CONTROL = {i: f"\\u{i:04X}" for i in range(32)}
_CONTROL.update({8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"})


def quoted(text: str) -> str:
    """A JSON string; anything but quotes, backslashes and control characters stands as it is."""
    return f'"{text.translate(_CONTROL)}"'


# RapidJSON leaves what it has written so far; TensorFlow Serving prints that as the quoted value.
class _UnprintableValueError(Exception):
    """RapidJSON's writer stops at a number that is not finite."""


def pretty(value: Json) -> str:
    """A value as TensorFlow Serving quotes it in messages: indented objects, arrays on one line, cut when it is long.

    It is cut after the token that makes it as long as the limit, or longer.
    """
    parts: list[str] = []
    with contextlib.suppress(_UnprintableValueError):
        _write(value, parts.append)
    return "".join(parts)


def _write(value: Json, write: Callable[[str], None]) -> None:
    """Print without recursion: the list holds what is still to be printed, the next last."""
    pending: list[tuple[str, Json, int] | str] = [("", value, 1)]
    written = 0
    while pending and written < _QUOTED_CHARACTERS:
        entry = pending.pop()
        if isinstance(entry, str):
            text = entry
        else:
            text, value, depth = entry
            if value and isinstance(value, (dict, list)):
                text += "[" if isinstance(value, list) else "{"
                pending.extend(reversed(_children(value, depth)))
            elif type(value) is float and not math.isfinite(value):
                write(text)
                raise _UnprintableValueError
            else:
                text += _scalar(value)
        write(text)
        written += len(text)


def _children(value: Json, depth: int) -> list[tuple[str, Json, int] | str]:
    entries: list[tuple[str, Json, int] | str] = []
    if isinstance(value, list):
        # Each element has at least one character, so that more of them cannot be printed.
        entries += [(", " if i else "", one, depth + 1) for i, one in enumerate(value[:_QUOTED_CHARACTERS])]
        return [*entries, "]"]
    for i, (name, element) in enumerate(islice(members(value), _QUOTED_CHARACTERS)):
        entries += [(",\n" if i else "\n") + "    " * depth + quoted(name), (": ", element, depth + 1)]
    return [*entries, "\n" + "    " * (depth - 1) + "}"]


def _scalar(value: Json) -> str:
    if type(value) is float:
        return _shortest(value)
    constants = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return constants[value]
    return quoted(value) if isinstance(value, str) else ("{}" if value == {} else str(value))


def _shortest(value: float) -> str:
    """The digits of Grisu2, laid out as RapidJSON does (dtoa.h, Prettify)."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    digits, exponent = shortest(abs(value))
    point = len(digits) + exponent
    if exponent >= 0 and point <= 21:
        return f"{sign}{digits.ljust(point, '0')}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1}"


def to_single(value: float) -> float:
    """The nearest float32 value; an infinity for what is beyond."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
