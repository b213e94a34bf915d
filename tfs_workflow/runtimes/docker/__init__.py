"""The docker runtime: a hardened container of a TensorFlow Serving image.

container.py describes a container as data, image_pull.py and image_build.py provide its image, remote_volume.py copies
files to an engine elsewhere, docker_runtime.py executes. engine.py holds the connection and translates every error of
docker-py, so that no other module catches one by its text.
"""

from tfs_workflow.runtimes.docker.docker_runtime import DockerRuntime
from tfs_workflow.runtimes.docker.engine import Engine

__all__ = ["DockerRuntime", "Engine"]
