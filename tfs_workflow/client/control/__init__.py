"""Calls that change a server, apart from those that use it."""
