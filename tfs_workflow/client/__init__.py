"""Clients of a model server over REST and gRPC, with JSON or numpy arrays."""
