"""Commands between the parent and its children: two bytes, and the descriptors that the command is about."""

from __future__ import annotations

import array
import ctypes
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

# To a front: talk to the engine over these two sockets, and read what it notes in this file.
ENGINE = b"E"
# To a front: the same for an engine that serves already; the one before finishes what it has.
TURN = b"N"
# To a front: the engine before has ended, by the signal that the second byte names, if any.
LEFT = b"L"
# To a front: the engine has ended, by the signal that the second byte names, if any.
ENDED = b"D"
# To a front: the engine is not started again for a while.
PAUSE = b"P"
# To a front: the engine has loaded its first models; take connections.
SERVE = b"S"
# To a front: tell the clients that the server will end, and serve on.
ANNOUNCE = b"W"
# To a front: finish what is in work, then end.
END = b"T"
# To the engine: load models. Descriptors: what it notes in, the configuration of the last reload, all counts, its
# flags, and its two outputs where it began without them. The second byte is its region of the counts.
BEGIN = b"B"
# To the engine: serve a front over these two sockets.
FRONT = b"F"
# To the engine: end when the last front has disconnected.
LEAVE = b"Q"
# From the engine: the first models are AVAILABLE.
AVAILABLE = b"A"

# What the parent logs of a switch, for whoever sent SIGHUP.
TURNED = "The new engine serves; the one before finishes what it has in work."
STAYS = "The engine that serves stays."

# What a terminal, a hook or `docker stop` sends is for the parent alone: blocked until a child ignores them.
PARENTS_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
_MOST_DESCRIPTORS = 6
_PR_SET_PDEATHSIG = 1
_DESCRIPTOR_BYTES = array.array("i").itemsize


class Control:
    """One end of the socket between the parent and a child."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def send(self, command: bytes, descriptors: Sequence[int] = (), argument: int = 0) -> None:
        """Send a command; nothing happens where the other side has ended."""
        passed = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if passed else []
        # Its end is noticed by whoever waits for it.
        with suppress(OSError):
            self.socket.sendmsg([command + bytes([argument])], ancillary)

    def receive(self) -> tuple[bytes, list[int], int]:
        """The next command, its descriptors and its argument; no command when the other side has ended."""
        room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _DESCRIPTOR_BYTES)
        try:
            content, ancillary, _, _ = self.socket.recvmsg(2, room)
        except OSError:
            content, ancillary = b"", []
        if len(content) < 2:
            return b"", [], 0
        descriptors = array.array("i")
        for _, _, numbers in ancillary:
            descriptors.frombytes(numbers[: len(numbers) - len(numbers) % _DESCRIPTOR_BYTES])
        return content[:1], list(descriptors), content[1]

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def pair() -> tuple[Control, Control]:
    """Both ends of a new control socket."""
    one, other = socket.socketpair()
    return Control(one), Control(other)


def follow_parent() -> None:
    """Leave the signals of the terminal and of `docker stop` to the parent; end when it ends, without a core file."""
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # That of a process with large models would fill the disk, again after each restart.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Linux alone has it; elsewhere the end of the control socket has to do.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
