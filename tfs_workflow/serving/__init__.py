"""Talking about and with a model server: its spec, its REST client, readiness and diagnosis."""
