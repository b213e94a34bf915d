"""Verbs that ask a model."""
