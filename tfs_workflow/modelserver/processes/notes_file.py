"""The file in which an engine notes what it runs: memory without a name, shared with the fronts and the parent."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable

from tfs_workflow.modelserver.link import run_notes


def create(refused: Iterable[bytes]) -> int:
    """The descriptor of a new file; it names the kinds of requests that the engine is to refuse."""
    descriptor = unnamed()
    os.ftruncate(descriptor, run_notes.SIZE_BYTES)
    run_notes.refuse(mapped(os.dup(descriptor)), refused)
    return descriptor


def unnamed() -> int:
    """The descriptor of a new and empty file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tfs-modelserver", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def holding(content: bytes) -> int:
    """The descriptor of a new file without a name and with this content."""
    descriptor = unnamed()
    os.write(descriptor, content)
    return descriptor


def content_of(descriptor: int) -> bytes:
    """The whole content of a file, wherever its descriptor stands; the descriptor is closed."""
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    return content


def mapped(descriptor: int) -> memoryview:
    """The file's content as memory; the descriptor is closed."""
    content = mmap.mmap(descriptor, 0)
    os.close(descriptor)
    return memoryview(content)


def is_recent(content: memoryview) -> bool:
    """Whether the engine received requests within the second before its last heartbeat."""
    message_s: float = content[:8].cast("d")[0]
    beat_s: float = run_notes.heartbeat_in(content)[0]
    return message_s > beat_s - 1
