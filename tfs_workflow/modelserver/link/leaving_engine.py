"""An engine that finishes what it has in work while a front already talks to its successor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tfs_workflow.modelserver.link import frames
from tfs_workflow.modelserver.link.channel import Channel
from tfs_workflow.modelserver.link.frames import Message


class LeavingEngine:
    """The front's two connections to it; `numbers` are those of the requests that it has.

    `receive` takes its messages. Once it has answered all, it is disconnected.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        numbers: Iterable[int],
        receive: Callable[[list[Message], bytearray | None], None],
    ) -> None:
        self.numbers = set(numbers)
        self._channels = channels
        self._take = receive
        for channel in channels:
            channel.receive = self._receive
        self._end_if_done()

    def _receive(self, messages: list[Message], large: bytearray | None) -> None:
        # A plan of this engine is none of its successor.
        self._take([(*one[:-1], 0) if one[0] == frames.RESPONSE else one for one in messages], large)
        self.numbers.difference_update([one[1] for one in messages])
        self._end_if_done()

    def read_to_end(self) -> None:
        """It has ended: take the answers that it still sent; `numbers` are then those that it has not answered."""
        for channel in self._channels:
            channel.read_to_end()
        self._close()

    def _end_if_done(self) -> None:
        if not self.numbers:
            self._close()

    def _close(self) -> None:
        for channel in self._channels:
            channel.close()
