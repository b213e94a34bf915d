"""The file in which an engine notes what it runs: memory without a name, shared with the fronts and the parent."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time

from tfs_workflow.modelserver import running


def create() -> int:
    """The descriptor of a new file of the right size."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("tfs-engine-notes", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, running.SIZE_BYTES)
    return descriptor


def mapped(descriptor: int) -> memoryview:
    """The file's content as memory; the descriptor is closed."""
    content = mmap.mmap(descriptor, 0)
    os.close(descriptor)
    return memoryview(content)


def numbers(notes: memoryview) -> set[int]:
    """The numbers of the requests that run, or ran when the engine ended."""
    return set(notes[: running.SIZE_BYTES].cast("Q")[1:]) - {0}


def is_recent(notes: memoryview) -> bool:
    """Whether the engine has received requests within the last second."""
    last_s: float = notes[:8].cast("d")[0]
    return time.monotonic() - last_s < 1
