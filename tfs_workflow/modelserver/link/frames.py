"""The messages between a front and the engine, and the frames that carry them.

A frame is a head, a batch of messages, and for a message with a large body the bytes of that body, as they are. A
message is a tuple whose first element is its kind; the second is the number of the request, which the front counts.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from typing import Any

# Length of the batch, length of the large body behind it.
HEAD = struct.Struct("<IQ")
# From this size on a body is not copied into its message.
LARGE_BYTES = 64 * 2**10

# From a front. RUN: id, plan, shape, float32 values.
RUN = 0
# HTTP: id, method, target, headers, body, keep_alive; a body of None stands behind the batch.
HTTP = 1
# GRPC: id, path, message, timeout in milliseconds; likewise.
GRPC = 2
# ARRAY: id, plan, signature name, key, shape, whether one may be denormal; the doubles stand behind the batch.
ARRAY = 3
# CANCEL: id of a request whose client has left.
CANCEL = 4

# From the engine. RESULT: id, body of a 200.
RESULT = 0
# OUTDATED: id; the request is to be sent as it came.
OUTDATED = 1
# RESPONSE: id, status, body, content type, headers, closes, plan (0 for none); a body of None stands behind the batch.
RESPONSE = 2
# MESSAGE: id, message of a gRPC call; likewise.
MESSAGE = 3
# STATUS: id, code, text of a gRPC error.
STATUS = 4
# WATCH: id, first message of a gRPC stream that stays open.
WATCH = 5

# What a connection writes of a large body in one iteration of its loop.
_PIECE_BYTES = 256 * 2**10

Message = tuple[Any, ...]

# Version 2 does not look for objects that occur twice, which would take longer than it saves.
_VERSION = 2


def encode(messages: Sequence[Message], large_bytes: int = 0) -> bytes:
    """The frame of a batch, up to the large body, if there is one."""
    batch = marshal.dumps(messages, _VERSION)  # type: ignore[arg-type]  # the stub knows no tuples of Any
    return HEAD.pack(len(batch), large_bytes) + batch


def decode(batch: memoryview) -> list[Message]:
    """The messages of a batch."""
    messages: list[Message] = marshal.loads(batch)  # noqa: S302  # from our own processes alone
    return messages


def pieces(body: bytearray) -> list[bytes]:
    """A large body in parts, which are views of it."""
    view = memoryview(body)
    return [view[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES)]  # type: ignore[misc]
