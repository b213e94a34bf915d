"""A model in a directory on this machine, served in place.

Models can be large, and their owners add versions while the server runs. So nothing is copied: the server reads the
directory itself and finds new versions there. The files may change at any time, which `status` reports as drift.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tfs_workflow.config.types import DirectorySource
from tfs_workflow.errors import FetchFailedError
from tfs_workflow.formats import model_kinds
from tfs_workflow.sources.source import ModelSource

_ADDRESS = re.compile(r"([a-z0-9]+)://")


class DirectoryModelSource(ModelSource):
    """Reads the files where they are and copies nothing."""

    served_in_place = True

    def __init__(self, configured: DirectorySource, yaml_dir: Path) -> None:
        self._directory = configured.directory
        self._yaml_dir = yaml_dir

    @property
    def description(self) -> str:
        """The path as the YAML gives it."""
        return f"directory {self._directory}"

    @property
    def base_path(self) -> Path:
        """The absolute path without `..`; a relative one starts at the YAML file."""
        return Path(os.path.abspath(self._yaml_dir / Path(self._directory).expanduser()))  # noqa: PTH100  # keeps links

    def mistake(self) -> tuple[str, str] | None:
        """An address in place of a path, which setup must fetch first."""
        if not (address := _ADDRESS.match(self._directory)):
            return None
        evidence = f"{self._directory} is an address, not a directory"
        scheme = address[1]
        if scheme == "file":
            return evidence, f"write the path alone: directory: {self._directory.removeprefix('file://')}"
        if scheme == "s3":
            evidence += "; TensorFlow Serving's images have no S3 since 2.7"
        kind = "store" if scheme in ("s3", "gs", "hf") else "archive"
        return evidence, f"let setup fetch it: {kind}: {self._directory} in place of directory"

    def require_readable(self) -> None:
        """Raise FetchFailedError unless the directory is there and readable; InvalidModelError names another file.

        Only this process's rights are checked here; those of the server's user are checked with the model
        (preflight.py).
        """
        if self.base_path.is_file() and (error := model_kinds.named(self.base_path)):
            raise error
        try:
            next(self.base_path.iterdir(), None)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            raise FetchFailedError(
                "the model's directory cannot be read",
                where=self.description,
                evidence=f"{cause}: {self.base_path}",
                fix=f"a relative path starts at the YAML file, in {self._yaml_dir}",
            ) from error
