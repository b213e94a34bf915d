"""The order of the steps, one verb a file; nothing else knows it."""
