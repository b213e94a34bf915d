"""Verbs for the project: its YAML, the machine's state, its image and conversions."""
