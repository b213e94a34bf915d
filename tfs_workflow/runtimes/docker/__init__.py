"""The docker runtime: a hardened container of a TensorFlow Serving image."""

from tfs_workflow.runtimes.docker.docker_runtime import DockerRuntime
from tfs_workflow.runtimes.docker.engine import Engine

__all__ = ["DockerRuntime", "Engine"]
