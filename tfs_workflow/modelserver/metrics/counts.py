"""Counts in memory that outlives the process that counts.

Counters must not start anew because TensorFlow has ended its process: a rate over them would be wrong. A process that
crashes cannot hand over anything, so each count is in shared memory from the start. The memory has a region for each
process that counts at the same time, since two cannot add to one number without losing some. A process adds on to what
its predecessor in the region has counted, and what is shown is the sum of all regions.

A region is the number of its bytes in use, and series one after another: the length of the key, the number of values,
the key, and the values as float64. Series are only added, and counted as used once they are whole.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from typing import TypeAlias

# The memory takes what is written, so that an empty region costs nothing.
REGION_BYTES = 4 * 2**20
# An engine that serves, one that is to follow it, and one that finishes what is in work.
ENGINE_REGIONS = 3
PARENT_REGION = ENGINE_REGIONS
FIRST_FRONT_REGION = PARENT_REGION + 1

# What fronts and the parent count: requests that the engine has not answered, by reason; processes that ended and were
# replaced, by process and exit code.
UNRUN = ":tfs_workflow:modelserver:unrun_count"
ENDS = ":tfs_workflow:modelserver:end_count"

_USED = struct.Struct("<Q")
_SERIES = struct.Struct("<II")
_VALUE_BYTES = 8

# The name of a metric, and the values of its labels.
Key = tuple[str, ...]
Values: TypeAlias = "memoryview[float]"
_SEPARATOR = "\0"


class Counts:
    """The series of one region, which only one process adds to at a time."""

    def __init__(self, region: memoryview) -> None:
        self._region = region
        self._series: dict[Key, Values] = dict(_read(region))
        self._lock = threading.Lock()

    def values(self, key: Key, length: int) -> Values:
        """So many values under this key, all 0 at first; of memory that nobody else sees where the region is full."""
        with self._lock:
            values = self._series.get(key)
            if values is None:
                values = self._series[key] = self._added(_SEPARATOR.join(key).encode(), length)
            return values

    def add(self, *key: str) -> None:
        """Count one more under a key with a single value; for what is rare."""
        self.values(key, 1)[0] += 1

    def series(self) -> Iterator[tuple[Key, list[float]]]:
        """All of them, as they are now."""
        for key, values in list(self._series.items()):
            yield key, list(values)

    def _added(self, name: bytes, length: int) -> Values:
        region = self._region
        start = _used(region)
        values_start = start + _SERIES.size + _padded(len(name))
        end = values_start + length * _VALUE_BYTES
        if end > len(region):
            return memoryview(bytearray(length * _VALUE_BYTES)).cast("d")
        _SERIES.pack_into(region, start, len(name), length)
        region[start + _SERIES.size : start + _SERIES.size + len(name)] = name
        # A process that ended here has left this unused.
        region[values_start:end] = bytes(end - values_start)
        _USED.pack_into(region, 0, end)
        return region[values_start:end].cast("d")


class SharedCounts:
    """The memory of a whole server."""

    def __init__(self, content: memoryview) -> None:
        self._content = content

    def of(self, region: int) -> Counts:
        """What a process adds to, or a look at what another one does."""
        return Counts(self._content[region * REGION_BYTES : (region + 1) * REGION_BYTES])

    def totals(self, own_region: int, own: Counts) -> dict[Key, list[float]]:
        """The sums of all regions; `own` is that of this process."""
        totals: dict[Key, list[float]] = {}
        for region in range(len(self._content) // REGION_BYTES):
            for key, values in (own if region == own_region else self.of(region)).series():
                before = totals.get(key)
                totals[key] = values if before is None else [a + b for a, b in zip(before, values, strict=True)]
        return totals


def size_bytes(fronts: int) -> int:
    """What a server with so many fronts needs."""
    return (FIRST_FRONT_REGION + fronts) * REGION_BYTES


def _read(region: memoryview) -> Iterator[tuple[Key, Values]]:
    start, used = _USED.size, _used(region)
    while start < used:
        name_bytes, length = _SERIES.unpack_from(region, start)
        name_start = start + _SERIES.size
        values_start = name_start + _padded(name_bytes)
        name = bytes(region[name_start : name_start + name_bytes]).decode()
        start = values_start + length * _VALUE_BYTES
        yield tuple(name.split(_SEPARATOR)), region[values_start:start].cast("d")


def _used(region: memoryview) -> int:
    used: int = _USED.unpack_from(region, 0)[0]
    return max(used, _USED.size)


def _padded(length: int) -> int:
    return length + -length % _VALUE_BYTES
