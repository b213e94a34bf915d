"""Which models and versions are served: configuration, base paths and the loading order.

A base path holds numbered directories; a policy selects versions out of them; the repository loads, serves and unloads
them. The first two are pure functions of what is on disk and in the configuration (base_path.py, version_policy.py).
"""
