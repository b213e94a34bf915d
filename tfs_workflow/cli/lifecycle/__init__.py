"""Verbs for the life of a server: setup, serve, status, logs and teardown."""
