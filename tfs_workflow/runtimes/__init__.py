"""What runs a model server: a container or a local process."""
