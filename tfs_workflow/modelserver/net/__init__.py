"""Sockets and connections, whatever the protocol."""
