"""What the project keeps on disk: the workspace, the project's state and the lock file."""
