"""Which models and versions are served: configuration, base paths and the loading order."""
