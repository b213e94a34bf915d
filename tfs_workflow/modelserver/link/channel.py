"""One connection between a front and the engine, on an event loop: whole frames in, whole frames out.

uvloop's streams are not used: a lone message is to be written at once, not at the end of the iteration, and the engine
looks for the next message before it goes back to its loop (engine_side.py). Nothing is copied but what the kernel
copies: a large body is received into memory of its own, and sent from where it lies.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from tfs_workflow.modelserver.link.frames import HEAD, Message, decode, encode

# A batch of small messages nearly always fits; a larger one gets a larger buffer.
_BUFFER_BYTES = 256 * 2**10
# What is received of a large body before other connections get their turn.
_PIECE_BYTES = 512 * 2**10

Receive = Callable[[list[Message], "bytearray | None"], None]


class Channel:
    """A connected socket; `receive` gets the messages of each frame, and the large body of its last message."""

    def __init__(self, connected: socket.socket, receive: Receive, lost: Callable[[], None]) -> None:
        connected.setblocking(False)
        self.socket = connected
        self.receive = receive
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._filled = 0
        self._batch: list[Message] = []
        self._large: bytearray | None = None
        self._large_filled = 0
        self._unsent: deque[memoryview] = deque()
        self.is_open = True

    def read(self) -> bool:
        """Take what has come; returns whether anything has."""
        try:
            if self._large is not None:
                count = self._read_large(self._large)
            else:
                count = self.socket.recv_into(self._buffer[self._filled :])
                self._filled += count
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            count = 0
        if not count:
            self.close()
            return False
        if self._large is None:
            self._take_frames()
        return True

    def _read_large(self, large: bytearray) -> int:
        place = memoryview(large)[self._large_filled : self._large_filled + _PIECE_BYTES]
        count = self.socket.recv_into(place)
        self._large_filled += count
        if self._large_filled == len(large):
            batch, self._batch, self._large = self._batch, [], None
            self.receive(batch, large)
        return count

    def _take_frames(self) -> None:
        """Pass on every frame that is whole, and keep the rest at the start of the buffer."""
        buffer, start, end = self._buffer, 0, self._filled
        while end - start >= HEAD.size:
            batch_bytes, large_bytes = HEAD.unpack_from(buffer, start)
            body = start + HEAD.size
            if end - body < batch_bytes:
                self._make_room(HEAD.size + batch_bytes)
                break
            start = body + batch_bytes
            messages = decode(buffer[body:start])
            if large_bytes:
                start += self._begin_large(messages, bytearray(large_bytes), buffer[start:end])
            else:
                self.receive(messages, None)
        self._filled = end - start
        if start and self._filled:
            self._buffer[: self._filled] = bytes(buffer[start:end])

    def _begin_large(self, messages: list[Message], large: bytearray, present: memoryview) -> int:
        """Start a large body with what is there of it; returns how much that was."""
        count = min(len(large), len(present))
        large[:count] = present[:count]
        if count == len(large):
            self.receive(messages, large)
        else:
            self._batch, self._large, self._large_filled = messages, large, count
        return count

    def _make_room(self, frame_bytes: int) -> None:
        if frame_bytes > len(self._buffer):
            larger = memoryview(bytearray(frame_bytes))
            larger[: self._filled] = self._buffer[: self._filled]
            self._buffer = larger

    def send(self, messages: Sequence[Message]) -> None:
        """Write a batch now, or as soon as the other side takes it."""
        self._write(encode(messages))

    def send_large(self, message: Message, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        """Write a message and its large body."""
        views = [memoryview(part).cast("B") for part in parts]
        self._write(encode([message], sum(map(len, views))))
        for view in views:
            self._write(view)

    def _write(self, content: bytes | memoryview) -> None:
        if not self.is_open:
            return
        if self._unsent:
            self._unsent.append(memoryview(content))
            return
        try:
            sent = self.socket.send(content)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return  # the other side is gone, which the reader notices
        if sent < len(content):
            self._unsent.append(memoryview(content)[sent:])
            self._loop.add_writer(self.socket, self._write_on)

    def _write_on(self) -> None:
        """Write one piece; the next when the other side has taken it."""
        try:
            sent = self.socket.send(self._unsent[0][:_PIECE_BYTES])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent.clear()
        else:
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self.socket)

    def read_to_end(self) -> None:
        """Take everything that the other side sent before it ended."""
        while self.is_open and self.read():
            pass

    def close(self) -> None:
        """Close it; `lost` is called once."""
        if self.is_open:
            self.is_open = False
            self._unsent.clear()
            self._loop.remove_reader(self.socket)
            self._loop.remove_writer(self.socket)
            self.socket.close()
            self._lost()
