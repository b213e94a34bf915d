"""Checks of one model's files: versions, signatures, operations and warm-up records."""
