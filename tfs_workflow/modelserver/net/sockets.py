"""Listening sockets.

TensorFlow Serving's REST listens on all addresses of both IP versions. A container or a kernel without IPv6 must not
keep a server from starting, so exactly the two errors that mean "no IPv6 here" lead to IPv4. Any other error, such as a
port in use, is raised.
"""

from __future__ import annotations

import errno
import socket

_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def bound_socket(address: str, port: int) -> socket.socket:
    """A listening socket on the address; on all of IPv6 and IPv4 when it is empty. Raises OSError."""
    if address:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port))
