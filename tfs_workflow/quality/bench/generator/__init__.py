"""The load generator: a process of its own that sends prepared requests, as little else as possible, and measures.

It is a process of its own so that what it costs can be told from what the verb costs, and so that several can share a
load. It is given its orders on stdin and prints what it measures as JSON lines (worker.py).
"""
