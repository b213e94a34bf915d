"""The docker runtime: a hardened container of a TensorFlow Serving image."""

from tfs_workflow.runtimes.docker.engine import Engine
from tfs_workflow.runtimes.docker.runtime import DockerRuntime

__all__ = ["DockerRuntime", "Engine"]
