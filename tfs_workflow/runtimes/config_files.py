"""The generated configuration of a model server, as files in the directory that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfs_workflow.state.atomic_file import write_errors, write_whole


def write_config_files(directory: Path, files: Mapping[str, str]) -> None:
    """Make the directory hold exactly these files; each appears whole. ConfigError on a full disk."""
    with write_errors(directory):
        for name, text in files.items():
            write_whole(directory / name, text)
        for path in directory.iterdir():
            if path.name not in files:
                path.unlink()
