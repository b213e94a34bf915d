"""The processes of a server, as their parent sees them: how they are started, and what connects them."""

from __future__ import annotations

import mmap
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from tfs_workflow.modelserver.access.access import Access
from tfs_workflow.modelserver.flags import FAILED, Flags
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.link.held_bytes import HeldBytes
from tfs_workflow.modelserver.metrics.counts import (
    ENDS,
    FIRST_FRONT_REGION,
    PARENT_REGION,
    Counts,
    SharedCounts,
    size_bytes,
)
from tfs_workflow.modelserver.net.listeners import Listeners
from tfs_workflow.modelserver.net.open_counts import OpenCounts
from tfs_workflow.modelserver.processes import ahead, control, notes_file
from tfs_workflow.modelserver.processes.control import Control
from tfs_workflow.modelserver.processes.heartbeat import Pulse

_LARGE_BUFFER_BYTES = 2**20


class Child:
    """A process of the family, and the parent's end of its control socket."""

    def __init__(self, pid: int, commands: Control, pulse: Pulse, place: int = 0) -> None:
        self.pid = pid
        self.commands = commands
        self.pulse = pulse
        # Of a front: that of its counts, which its successor takes over.
        self.place = place

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Kept(NamedTuple):
    """What outlives an engine, as descriptors: the last reload's configuration, and all counts; and its region."""

    config: int
    counts: int
    region: int


class EngineChild:
    """The engine's process, with the file that it notes in, and the region that it counts in."""

    def __init__(self, arguments: Sequence[str], refused: Iterable[bytes], kept: Kept) -> None:
        self.arguments = arguments
        self.kept_config = kept.config
        self.notes = notes_file.create(refused)
        self.region = kept.region
        engine = ahead.adopted() or ahead.spawn()
        flags = notes_file.holding("\0".join(arguments).encode())
        # It writes its log where the server writes its own.
        outputs = (1, 2) if engine.is_ahead else ()
        engine.commands.send(control.BEGIN, (self.notes, kept.config, kept.counts, flags, *outputs), kept.region)
        os.close(flags)
        pulse = Pulse(run_notes.heartbeat_in(notes_file.mapped(os.dup(self.notes))))
        self.child = Child(engine.pid, engine.commands, pulse)
        self.is_available = False

    def was_busy(self) -> bool:
        """Whether it was answering requests when it ended."""
        notes = notes_file.mapped(os.dup(self.notes))
        return bool(run_notes.numbers_in(notes)) or notes_file.is_recent(notes)

    def kinds(self) -> set[bytes]:
        """The unusual kinds of requests that ran when it ended."""
        return run_notes.kinds_in(notes_file.mapped(os.dup(self.notes)))

    def close(self) -> None:
        """Release what the parent holds of it; a running engine ends."""
        self.child.commands.close()
        os.close(self.notes)


class SharedMemory:
    """What all processes of the family read and write, each in its own place."""

    def __init__(self, fronts: int) -> None:
        self.open_counts = OpenCounts(fronts)
        self.held_bytes = HeldBytes(fronts)
        self.heartbeats = memoryview(mmap.mmap(-1, 8 * fronts)).cast("d")
        self.counts_file = notes_file.unnamed()
        os.ftruncate(self.counts_file, size_bytes(fronts))
        self.counts = SharedCounts(notes_file.mapped(os.dup(self.counts_file)))
        self._of_parent = self.counts.of(PARENT_REGION)

    def count_end(self, process: str, exit_code: int) -> None:
        """The parent has seen an engine or a front end."""
        self._of_parent.add(ENDS, process, str(exit_code))


class FrontStart(NamedTuple):
    """What a front is born with; `serial` counts all fronts that ever started from 1, `place` those of now from 0."""

    flags: Flags
    access: Access
    listeners: Listeners
    shared: SharedMemory
    serial: int
    place: int

    @property
    def heartbeat(self) -> memoryview[float]:
        """Where it writes the time of its last heartbeat."""
        return self.shared.heartbeats[self.place : self.place + 1]

    @property
    def counts(self) -> Counts:
        """What it counts, on top of what its predecessors counted."""
        return self.shared.counts.of(FIRST_FRONT_REGION + self.place)


def fork_front(start: FrontStart, leave: Callable[[], None]) -> Child:
    """A new front; `leave` closes in the child what belongs to the parent."""
    ours, theirs = control.pair()
    start.heartbeat[0] = 0.0  # its predecessor has left one there
    signal.pthread_sigmask(signal.SIG_BLOCK, control.PARENTS_SIGNALS)
    pid = os.fork()
    if not pid:
        # Else the end of the parent would not end this socket.
        ours.close()
        _become_front(start, theirs, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, control.PARENTS_SIGNALS)
    theirs.close()
    return Child(pid, ours, Pulse(start.heartbeat), start.place)


def _become_front(start: FrontStart, commands: Control, leave: Callable[[], None]) -> None:
    code = FAILED
    try:
        leave()
        from tfs_workflow.modelserver.processes import front_process  # noqa: PLC0415  # the parent stays small

        code = front_process.run(start, commands)
    finally:
        sys.stderr.flush()
        os._exit(code)


def connect(front: Child, engine: EngineChild, command: bytes = control.ENGINE) -> None:
    """Give a front and an engine the ends of two new sockets; the command tells the front how to take them up."""
    pairs = [socket.socketpair() for _ in range(2)]
    for end in pairs[1]:
        # Each time that the buffer is full the other side has to wake; the kernel bounds it (net.core.wmem_max).
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGE_BUFFER_BYTES)
    fronts, engines = ([pair[side].fileno() for pair in pairs] for side in range(2))
    front.commands.send(command, [*fronts, engine.notes])
    engine.child.commands.send(control.FRONT, engines)
    for end in (end for pair in pairs for end in pair):
        end.close()


class Signals:
    """Signals as readable events: their numbers come out of a socket."""

    def __init__(
        self, numbers: Sequence[signal.Signals], selector: selectors.BaseSelector, act: Callable[[bytes], None]
    ):
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        for number in numbers:
            signal.signal(number, lambda *_: None)
        selector.register(self._woken, selectors.EVENT_READ, lambda: act(self._woken.recv(4096)))
