"""Injects faults into the verbs, on an engine of its own, and counts what comes of them."""
