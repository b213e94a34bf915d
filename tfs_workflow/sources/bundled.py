"""The model that ships with the package, copied so that containers mount it like any other."""

from __future__ import annotations

from pathlib import Path

import tfs_workflow
from tfs_workflow.config import BundledSource
from tfs_workflow.errors import FetchFailed
from tfs_workflow.sources.landing import Landing, Limits


def land(source: BundledSource, staging: Path) -> None:
    """Copy the model's base path to `staging`/model."""
    base_path = Path(tfs_workflow.__file__).parent / "bundled" / source.bundled
    if not base_path.is_dir():
        fix = "install tfs-workflow again"
        raise FetchFailed("the bundled model is not in this installation", where=f"bundled {source.bundled}", fix=fix)
    landing = Landing(staging / "model", Limits())
    for path in (path for path in base_path.rglob("*") if path.is_file()):
        with path.open("rb") as content:
            landing.file(path.relative_to(base_path).as_posix(), content, path.stat().st_size)
    landing.finish()
