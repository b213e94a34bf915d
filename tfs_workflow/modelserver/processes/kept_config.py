"""The last configuration that a reload brought, kept for the next engine in memory that the parent holds.

Records are only added, and the place of the last one is written after it: an engine that ends in between leaves the one
before.
"""

from __future__ import annotations

import os
import struct

_PLACE = struct.Struct("<QQ")


class KeptConfig:
    """A file without a name; empty until the first reload."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> bytes:
        """The configuration that was kept last; empty when there is none."""
        place = os.pread(self._descriptor, _PLACE.size, 0)
        if len(place) < _PLACE.size:
            return b""
        start, length = _PLACE.unpack(place)
        return os.pread(self._descriptor, length, start)

    def keep(self, config: bytes) -> None:
        """Keep this one."""
        start = max(os.fstat(self._descriptor).st_size, _PLACE.size)
        os.pwrite(self._descriptor, config, start)
        os.pwrite(self._descriptor, _PLACE.pack(start, len(config)), 0)
