"""Records as TensorFlow writes them."""

from __future__ import annotations

import struct

from tfs_workflow.formats.tfrecord import masked_crc32c as crc


def framed(content: bytes) -> bytes:
    """A record with its length and the checksums of both."""
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", crc(length)) + content + struct.pack("<I", crc(content))
