"""The embedded and native runtimes: local processes, how they are found again, and how they start."""
