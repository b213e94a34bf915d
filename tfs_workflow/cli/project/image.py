"""invoke image.build: the embedded model server as an image that keeps tensorflow/serving's contract."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import reported_errors
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.docker import Engine
from tfs_workflow.runtimes.docker.image_build import build_image


def build(tag: str, base: str, wheels: str, verbose: bool) -> None:
    """Build and tag the image, and say how a YAML names it."""
    with reported_errors(verbose):
        directory = Path(wheels) if wheels else None
        if directory is not None and not list(directory.glob("*.whl")):
            raise ConfigError("holds no wheels", where=wheels, fix="fill it with pip download")
        build_image(Engine(), tag, base, directory, report=console.detail)
        console.result(f"server.image: {tag}")
