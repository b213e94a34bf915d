"""Verbs about the project: its YAML, its surroundings and its image."""
