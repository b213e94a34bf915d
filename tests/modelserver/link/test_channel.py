"""Frames over a real socket, whatever their size and however they are cut."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfs_workflow.modelserver.link import frames
from tfs_workflow.modelserver.link.channel import Channel
from tfs_workflow.modelserver.link.frames import Message

Received = list[tuple[list[Message], bytes | None]]


async def received(wire: bytes, cuts: list[int]) -> Received:
    """What a channel takes out of these bytes, sent in pieces."""
    ours, theirs = socket.socketpair()
    taken: Received = []
    channel = Channel(
        theirs, lambda messages, large: taken.append((messages, large if large is None else bytes(large))), lambda: None
    )
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        ours.sendall(wire[start:end])
        while channel.read():
            pass
    ours.close()
    channel.read_to_end()
    assert not channel.is_open
    return taken


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_frame_arrives_whole_and_in_order(data: st.DataObject) -> None:
    batches = data.draw(st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=5), min_size=1, max_size=5))
    wire, wanted = b"", []
    for batch in batches:
        messages: list[Message] = [(frames.MESSAGE, number, content) for number, content in enumerate(batch)]
        large = data.draw(st.none() | st.binary(min_size=1, max_size=200))
        wire += frames.encode(messages, len(large or b"")) + (large or b"")
        wanted.append((messages, large))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    assert asyncio.run(received(wire, cuts)) == wanted


def test_a_batch_larger_than_the_buffer_arrives() -> None:
    messages: list[Message] = [(frames.HTTP, 1, b"x" * 100_000) for _ in range(8)]
    wire = frames.encode(messages)
    cuts = list(range(50_000, len(wire), 50_000))
    assert asyncio.run(received(wire, cuts)) == [(messages, None)]


@pytest.mark.parametrize("size_bytes", [1, 100_000, 30_000_000])
def test_what_the_other_side_does_not_take_yet_is_sent_later(size_bytes: int) -> None:
    async def exchange() -> Received:
        loop = asyncio.get_running_loop()
        taken: Received = []
        both = asyncio.Event()

        def take(messages: list[Message], large: bytearray | None) -> None:
            taken.append((messages, large if large is None else bytes(large)))
            if len(taken) == 2:
                both.set()

        one, other = socket.socketpair()
        sender, receiver = Channel(one, take, lambda: None), Channel(other, take, lambda: None)
        loop.add_reader(other, receiver.read)
        sender.send_large((frames.MESSAGE, 1, None), [b"y" * size_bytes])
        sender.send([(frames.STATUS, 2, 3, "text")])
        await asyncio.wait_for(both.wait(), 60)
        sender.close()
        receiver.close()
        return taken

    wanted = [([(frames.MESSAGE, 1, None)], b"y" * size_bytes), ([(frames.STATUS, 2, 3, "text")], None)]
    assert asyncio.run(exchange()) == wanted
