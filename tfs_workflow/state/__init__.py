"""What the project keeps on disk: the workspace, the lock file and what was set up."""
