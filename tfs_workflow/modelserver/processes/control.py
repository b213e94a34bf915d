"""Commands between the parent and its children: one byte each, with the descriptors that it is about."""

from __future__ import annotations

import array
import ctypes
import signal
import socket
import sys

# To a front: talk to the engine over these two sockets.
ENGINE = b"E"
# To a front: the engine has ended and is not started again for a while.
PAUSE = b"P"
# To a front: take connections.
SERVE = b"S"
# To a front: finish what is in work, then end.
END = b"T"
# To the engine: serve a front over these two sockets.
FRONT = b"F"
# From the engine: the first models are AVAILABLE.
AVAILABLE = b"A"

_MOST_DESCRIPTORS = 4
_PR_SET_PDEATHSIG = 1
_DESCRIPTOR_BYTES = array.array("i").itemsize


class Control:
    """One end of the socket between the parent and a child."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def send(self, command: bytes, *passed: socket.socket) -> None:
        """Send a command with sockets; nothing happens where the other side has ended."""
        descriptors = array.array("i", [one.fileno() for one in passed])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if passed else []
        try:
            self.socket.sendmsg([command], ancillary)
        except OSError:
            return  # its end is noticed by whoever waits for it

    def receive(self) -> tuple[bytes, list[socket.socket]]:
        """The next command and its sockets; no command when the other side has ended."""
        try:
            command, ancillary, _, _ = self.socket.recvmsg(1, socket.CMSG_SPACE(_MOST_DESCRIPTORS * _DESCRIPTOR_BYTES))
        except OSError:
            return b"", []
        descriptors = array.array("i")
        for _, _, content in ancillary:
            descriptors.frombytes(content[: len(content) - len(content) % _DESCRIPTOR_BYTES])
        return command, [socket.socket(fileno=number) for number in descriptors]

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def pair() -> tuple[Control, Control]:
    """Both ends of a new control socket."""
    one, other = socket.socketpair()
    return Control(one), Control(other)


def follow_parent() -> None:
    """Leave the signals of the terminal and of `docker stop` to the parent, and end when it ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Linux alone has it; elsewhere the end of the control socket has to do.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
