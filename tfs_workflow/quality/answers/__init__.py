"""Answers of a model: what differs between two of them, what does not fit the signature, and the report of it."""
