"""Denormal floats, which TensorFlow Serving's threads treat as zero when they read and print numbers.

A processor can be set to take denormals for zero, which is faster, and TensorFlow sets that for its threads. A denormal
in a request or a result is therefore zero in TensorFlow Serving. Python has no such mode, so values are compared and
replaced. Nearly all arrays hold none; the test for that must be cheap, and the replacement need not be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfs_workflow.formats.tensors import Array

SMALLEST_NORMAL_DOUBLE = 2.0**-1022
# By size in bytes.
_SMALLEST_NORMAL = {4: 2.0**-126, 8: SMALLEST_NORMAL_DOUBLE}

# By size in bytes, for bit patterns moved one to the left: their type, the lowest normal number, and infinity.
_PATTERNS: dict[int, tuple[type[np.unsignedinteger[Any]], int, int]] = {
    4: (np.uint32, 1 << 24, 0xFF << 24),
    8: (np.uint64, 1 << 53, 0x7FF << 53),
}


def is_zero_or_normal(values: Array) -> bool:
    """Whether no float is denormal, infinite or NaN."""
    if values.size <= 64:  # numpy takes longer than this to begin
        smallest = _SMALLEST_NORMAL[values.dtype.itemsize]
        return all(value == 0 or smallest <= abs(value) < math.inf for value in values.tolist())
    # Without the sign numbers are in the order of their bit patterns. All of numpy's own ways take twice as long.
    unsigned, lowest, infinity = _PATTERNS[values.dtype.itemsize]
    patterns = values.view(unsigned)
    patterns = patterns + patterns
    is_finite = patterns.max() < infinity
    patterns -= 1  # zero becomes the largest
    return bool(is_finite and patterns.min() >= lowest - 1)


def flush_denormals(values: Array) -> Array:
    """The floats with denormal ones as zero of the same sign."""
    return np.where(np.abs(values) < _SMALLEST_NORMAL[values.dtype.itemsize], np.copysign(0, values), values).astype(
        values.dtype
    )
