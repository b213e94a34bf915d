"""Each check fails for real, and passes."""
