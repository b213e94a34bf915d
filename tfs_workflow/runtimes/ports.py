"""Ports of this machine: which are free, and which process holds the others.

A free port may be taken between the look and the start of the server; no look can prevent that. The look exists for the
message: it names the process that holds the port, which the server's own error does not.
"""

from __future__ import annotations

import socket

# psutil is imported where a process must be named: a setup that finds its ports free does not need it.
# ruff: noqa: PLC0415


def free_port() -> int:
    """A TCP port that nothing listens on right now.

    The port is not held: another process can take it before the server does.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as probe:
        # As servers do: without it a port counts as taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def port_holder(port: int) -> str:
    """Name and pid of the process that listens on the port, or an empty string for none.

    Without root another user's process has no name here; the text then states that.
    """
    import psutil

    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:  # macOS shows other users' sockets to root only
        listening = []
    for connection in listening:
        if connection.laddr and connection.laddr.port == port:
            return _process_name(connection.pid)
    return "" if is_free(port) else "a process of another user"


def _process_name(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    import psutil

    try:
        return f"process {psutil.Process(pid).name()} (pid {pid})"
    except psutil.NoSuchProcess:
        return f"pid {pid}"
