"""The kinds of source: which class fetches which type of the YAML.

The configuration's types and the classes that fetch are separate, so that reading a YAML imports no network code. This
table is the only place where the two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfs_workflow.config.types import ArchiveSource, BundledSource, DirectorySource, GitSource, Source, StoreSource
from tfs_workflow.sources.bundled import BundledModelSource
from tfs_workflow.sources.directory import DirectoryModelSource
from tfs_workflow.sources.remote.archive import ArchiveModelSource
from tfs_workflow.sources.remote.git import GitModelSource
from tfs_workflow.sources.remote.stored import stored_model
from tfs_workflow.sources.source import ModelSource

_KINDS: Mapping[type, Callable[[Any, Path], ModelSource]] = {
    GitSource: GitModelSource,
    ArchiveSource: ArchiveModelSource,
    DirectorySource: DirectoryModelSource,
    StoreSource: stored_model,
    BundledSource: BundledModelSource,
}


def model_source(configured: Source, yaml_dir: Path) -> ModelSource:
    """The source that an entry of the YAML means; relative paths in it start at `yaml_dir`."""
    return _KINDS[type(configured)](configured, yaml_dir)
