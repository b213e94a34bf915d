"""Verbs that take a server from set-up to teardown."""
