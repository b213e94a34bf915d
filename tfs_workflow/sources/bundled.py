"""The model that ships with the package, copied so that containers mount it like any other.

The installation's files may be readable for its user alone, and an upgrade replaces them under a running server. A copy
in the workspace is readable for the server in all cases, and it is replaced when a new release ships other files.
"""

from __future__ import annotations

from pathlib import Path

import tfs_workflow
from tfs_workflow import __version__
from tfs_workflow.config.types import BundledSource
from tfs_workflow.errors import FetchFailedError
from tfs_workflow.sources.safe_directory import SafeWriter, WriteLimits
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext


class BundledModelSource(ModelSource):
    """Copies a model out of this installation."""

    def __init__(self, configured: BundledSource, yaml_dir: Path) -> None:  # noqa: ARG002  # as every kind is made
        self._name = configured.bundled

    @property
    def description(self) -> str:
        """The name of the bundled model."""
        return f"bundled {self._name}"

    @property
    def identity(self) -> str:
        """The description with our version, since another version may ship other files."""
        return f"{self.description} of tfs-workflow {__version__}"

    @property
    def base_path(self) -> Path:
        """The model's directory in the package."""
        return Path(tfs_workflow.__file__).parent / "bundled" / self._name

    def fetch_into(self, staging: Path, label: str, context: TransferContext) -> str:  # noqa: ARG002  # nothing to report
        """Copy the model to `staging`/model."""
        if not self.base_path.is_dir():
            fix = "install tfs-workflow again"
            raise FetchFailedError("the bundled model is not in this installation", where=self.description, fix=fix)
        writer = SafeWriter(staging / "model", WriteLimits())
        for path in (path for path in self.base_path.rglob("*") if path.is_file()):
            with path.open("rb") as content:
                writer.file(path.relative_to(self.base_path).as_posix(), content, path.stat().st_size)
        writer.finish()
        return ""
