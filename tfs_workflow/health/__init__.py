"""Whether a server is ready, and why it failed."""
