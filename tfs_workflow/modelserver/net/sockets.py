"""Sockets for servers.

TensorFlow Serving's REST listens on all addresses of both IP versions. A container or a kernel without IPv6 must not
keep a server from starting, so exactly the two errors that mean "no IPv6 here" lead to IPv4. Any other error, such as a
port in use, is raised.
"""

from __future__ import annotations

import errno
import socket

_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def bound_socket(address: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; on all of IPv6 and IPv4 without an address. Raises OSError."""
    if address:
        return _bound(socket.AF_INET6 if ":" in address else socket.AF_INET, address, port)
    if socket.has_dualstack_ipv6():
        try:
            return _bound(socket.AF_INET6, "::", port)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return _bound(socket.AF_INET, "", port)


def _bound(family: int, address: str, port: int) -> socket.socket:
    bound = socket.socket(family)
    try:
        # Else the port of a server that has just ended could not be taken for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Of IPv6 alone where an address is named, as socket.create_server has it.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
