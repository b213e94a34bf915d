"""Numbers as RapidJSON 1.1 reads them in its default precision (reader.h, ParseNumber; internal/strtod.h).

Its result may be some units in the last place away from the nearest double, and messages quote it. A double below the
smallest normal one is zero, since TensorFlow Serving's threads flush denormals.
"""

from __future__ import annotations

import math
import re

from tfs_workflow.formats.floats import SMALLEST_NORMAL_DOUBLE

_PARTS = re.compile(rb"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?")
_MAX_BEFORE_DIGIT = 1.7976931348623157e307
_UINT64_MAX, _INT64_MIN = 2**64 - 1, 2**63
_FAST_SIGNIFICAND = 2**53 - 1
_DIGITS = 17
_MAX_EXPONENT = 308


def read(text: bytes) -> float | int | None:
    """The value of a number in JSON's syntax; None for one that is too big (kParseErrorNumberTooBig)."""
    match = _PARTS.fullmatch(text)
    assert match is not None  # noqa: S101  # the parser has found the syntax to be right
    minus, whole, fraction, exponent_sign, exponent = match.groups()
    significand, digit_count = _whole(whole, limit=_INT64_MIN if minus else _UINT64_MAX)
    if significand is None:
        return None
    if fraction is None and exponent is None and isinstance(significand, int):
        # -0 is read as a double, as an integer has no negative zero.
        return -0.0 if minus and not significand else -significand if minus else significand
    double, fraction_exponent = _with_fraction(significand, digit_count, fraction or b"")
    power = int((exponent or b"0")[:10])
    if exponent_sign != b"-" and exponent and len(exponent) > 1 and power > _MAX_EXPONENT - fraction_exponent:
        return None
    value = _scaled(double, (-power if exponent_sign == b"-" else power) + fraction_exponent)
    return -value if minus else value


def _whole(digits: bytes, limit: int) -> tuple[int | float | None, int]:
    """The digits before the point and how many count as significant; a double where they exceed `limit`."""
    whole = int(digits[:20])
    if len(digits) <= 20 and whole <= limit:
        # The first digit does not count in RapidJSON.
        return whole, len(digits) - 1
    end = next(i for i in range(1, len(digits) + 1) if int(digits[:i]) > limit) - 1
    value = float(int(digits[:end]))
    for digit in digits[end:]:
        if value >= _MAX_BEFORE_DIGIT:
            return None, 0
        value = value * 10.0 + (digit - 0x30)
    return value, end - 1


def _with_fraction(significand: float, digit_count: int, fraction: bytes) -> tuple[float, int]:
    """The significand as a double with as many digits of the fraction as RapidJSON reads, and the exponent of ten."""
    at = 0
    if isinstance(significand, int):
        while at < len(fraction) and significand <= _FAST_SIGNIFICAND:
            significand = significand * 10 + (fraction[at] - 0x30)
            at += 1
            digit_count += significand != 0
    double = float(significand)
    exponent = -at
    for digit in fraction[at:]:
        if digit_count < _DIGITS:
            double = double * 10.0 + (digit - 0x30)
            exponent -= 1
            digit_count += double > 0
    return double, exponent


def _scaled(double: float, power: int) -> float:
    if power < -_MAX_EXPONENT:
        double, power = _fast_path(double, -_MAX_EXPONENT), power + _MAX_EXPONENT
    return _fast_path(double, power)


def _fast_path(double: float, power: int) -> float:
    if power < -_MAX_EXPONENT:
        return 0.0
    if power > _MAX_EXPONENT:
        return math.inf if double else 0.0
    value = double * float(f"1e{power}") if power >= 0 else double / float(f"1e{-power}")
    return value if abs(value) >= SMALLEST_NORMAL_DOUBLE else 0.0
