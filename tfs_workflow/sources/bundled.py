"""The model that ships with the package, copied so that containers mount it like any other."""

from __future__ import annotations

from pathlib import Path

import tfs_workflow
from tfs_workflow.config.types import BundledSource
from tfs_workflow.errors import FetchFailed
from tfs_workflow.sources.safe_directory import Landing, Limits


def base_path(source: BundledSource) -> Path:
    """Where the package keeps it."""
    return Path(tfs_workflow.__file__).parent / "bundled" / source.bundled


def land(source: BundledSource, staging: Path) -> None:
    """Copy the model's base path to `staging`/model."""
    kept = base_path(source)
    if not kept.is_dir():
        fix = "install tfs-workflow again"
        raise FetchFailed("the bundled model is not in this installation", where=f"bundled {source.bundled}", fix=fix)
    landing = Landing(staging / "model", Limits())
    for path in (path for path in kept.rglob("*") if path.is_file()):
        with path.open("rb") as content:
            landing.file(path.relative_to(kept).as_posix(), content, path.stat().st_size)
    landing.finish()
