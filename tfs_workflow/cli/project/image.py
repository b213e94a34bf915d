"""invoke image.build: build the embedded model server as an image with the layout of tensorflow/serving."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, reported_errors, show
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.docker import Engine
from tfs_workflow.runtimes.docker.image_build import build_image


def build(options: CommandOptions, *, tag: str, base: str, wheels: str) -> None:
    """Build and tag the image, and print the line that names it in a YAML."""
    with reported_errors(options):
        directory = Path(wheels) if wheels else None
        if directory is not None and not list(directory.glob("*.whl")):
            raise ConfigError("holds no wheels", where=wheels, fix="fill it with pip download")
        if options.dry_run:
            console.note(f"would build {tag}")
            return
        build_image(Engine(), tag, base, directory, report=console.detail)
        show(options, {"image": tag}, [f"server.image: {tag}"])
