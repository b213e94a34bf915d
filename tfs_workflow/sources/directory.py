"""A model in a directory on this machine, served in place."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.config.types import DirectorySource
from tfs_workflow.errors import FetchFailed


def absolute(source: DirectorySource, yaml_dir: Path) -> Path:
    """Its absolute path; a relative one starts at the YAML file."""
    return (yaml_dir / Path(source.directory).expanduser()).absolute()


def base_path(source: DirectorySource, yaml_dir: Path) -> Path:
    """The same, of a directory that is there and readable; FetchFailed otherwise."""
    path = absolute(source, yaml_dir)
    try:
        next(path.iterdir(), None)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise FetchFailed(
            "the model's directory cannot be read",
            where=f"directory {source.directory}",
            evidence=f"{cause}: {path}",
            fix=f"a relative path starts at the YAML file, in {yaml_dir}",
        ) from error
    return path
