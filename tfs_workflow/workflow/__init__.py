"""The order of the steps, one verb a file; no other room depends on it."""
