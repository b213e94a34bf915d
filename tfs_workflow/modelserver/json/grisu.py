"""The decimal digits of a double as RapidJSON 1.1 computes them: Grisu2 (internal/dtoa.h, internal/diyfp.h).

Error messages quote numbers by RapidJSON's writer. Grisu2 is fast and not always the shortest: about one double in a
thousand gets another last digit than Python's repr. So its arithmetic is repeated here, on 64-bit significands:
Florian Loitsch, Printing Floating-Point Numbers Quickly and Accurately with Integers, PLDI 2010.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import NamedTuple

_SIGNIFICAND_BITS = 52
_HIDDEN_BIT = 1 << _SIGNIFICAND_BITS
_BIAS = 0x3FF + _SIGNIFICAND_BITS
_LOG10_OF_2 = 0.30102999566398114
_DOUBLE, _BITS = struct.Struct("<d"), struct.Struct("<Q")


class _Float(NamedTuple):
    """A significand of at most 64 bits times a power of two."""

    f: int
    e: int

    def times(self, other: _Float) -> _Float:
        """The product, rounded to 64 bits."""
        return _Float((self.f * other.f + (1 << 63)) >> 64, self.e + other.e + 64)

    def normal(self) -> _Float:
        """The same with the highest bit set."""
        shift = 64 - self.f.bit_length()
        return _Float(self.f << shift, self.e - shift)


def shortest(value: float) -> tuple[str, int]:
    """The digits of a finite double above zero, and the exponent of ten of the last one."""
    (bits,) = _BITS.unpack(_DOUBLE.pack(value))
    exponent, significand = bits >> _SIGNIFICAND_BITS, bits & (_HIDDEN_BIT - 1)
    exact = _Float(significand + _HIDDEN_BIT, exponent - _BIAS) if exponent else _Float(significand, 1 - _BIAS)
    upper = _Float((exact.f << 1) + 1, exact.e - 1).normal()
    # Below a power of two the next double is half as far away.
    lower = (
        _Float((exact.f << 2) - 1, exact.e - 2) if exact.f == _HIDDEN_BIT else _Float((exact.f << 1) - 1, exact.e - 1)
    )
    lower = _Float(lower.f << (lower.e - upper.e), upper.e)
    power, k = _power_of_ten(upper.e)
    middle, high, low = (one.times(power) for one in (exact.normal(), upper, lower))
    digits, k = _digits(middle, _Float(high.f - 1, high.e), high.f - 1 - (low.f + 1), k)
    return "".join(map(str, digits)), k


def _power_of_ten(binary_exponent: int) -> tuple[_Float, int]:
    """A cached power of ten that brings the product's exponent close to -60, and the negated power."""
    estimate = (-61 - binary_exponent) * _LOG10_OF_2 + 347
    index = (int(estimate) + (estimate - int(estimate) > 0.0) >> 3) + 1
    power = -348 + index * 8
    return _cached_power(power), -power


@cache
def _cached_power(power: int) -> _Float:
    """A power of ten, rounded to 64 bits."""
    if power >= 0:
        exact = 10**power
        shift = exact.bit_length() - 64
        return _Float(_rounded(exact, 1 << shift) if shift > 0 else exact << -shift, shift)
    shift = (10**-power).bit_length() + 63
    found = _rounded(1 << shift, 10**-power)
    excess = found.bit_length() - 64
    return _Float(_rounded(1 << (shift - excess), 10**-power), excess - shift)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _digits(middle: _Float, high: _Float, delta: int, k: int) -> tuple[list[int], int]:
    """Digits of `high` until what is left lies within `delta`, then as close to `middle` as they come."""
    one = 1 << -high.e
    distance = high.f - middle.f
    whole, fraction = high.f >> -high.e, high.f & (one - 1)
    digits: list[int] = []
    for kappa in range(len(str(whole)) - 1, -1, -1):
        digit, whole = divmod(whole, 10**kappa)
        if digit or digits:
            digits.append(digit)
        rest = (whole << -high.e) + fraction
        if rest <= delta:
            _round(digits, delta, rest, 10**kappa << -high.e, distance)
            return digits, k + kappa
    kappa = 0
    while True:
        fraction, delta = fraction * 10, delta * 10
        digit, fraction = fraction >> -high.e, fraction & (one - 1)
        if digit or digits:
            digits.append(digit)
        kappa -= 1
        if fraction < delta:
            # RapidJSON leaves the distance out where its table of powers of ten ends.
            _round(digits, delta, fraction, one, distance * 10**-kappa if -kappa < 9 else 0)
            return digits, k + kappa


def _round(digits: list[int], delta: int, rest: int, ten_kappa: int, distance: int) -> None:
    while (
        rest < distance
        and delta - rest >= ten_kappa
        and (rest + ten_kappa < distance or distance - rest > rest + ten_kappa - distance)
    ):
        digits[-1] -= 1
        rest += ten_kappa
