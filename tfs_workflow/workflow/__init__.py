"""The order of the steps, one verb a file; no other room depends on it.

A workflow takes a loaded configuration and returns data; it prints nothing and parses no options. Those that change
something hold the workspace's lock for their whole length and write the state at their end. Those that only look take
no lock, so that `status` works while `serve` waits.
"""
