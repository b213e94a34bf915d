"""The REST API: paths, JSON requests and responses."""
