"""Readiness of a server, and the diagnosis of its failure."""
