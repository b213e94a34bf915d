"""Verbs that call or describe a model."""
