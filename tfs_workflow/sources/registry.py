"""The kinds of source: which class fetches which type of the YAML.

The configuration's types and the classes that fetch are separate, so that reading a YAML imports no network code. This
table is the only place where the two meet. A class is imported when a source of its kind is there: git and archives
take a tenth of a `serve` that needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tfs_workflow.config.types import ArchiveSource, BundledSource, DirectorySource, GitSource, Source, StoreSource
from tfs_workflow.sources.source import ModelSource

# The module below sources/, and what there makes a source of the YAML's entry and directory.
_KINDS: Mapping[type, tuple[str, str]] = {
    GitSource: ("remote.git", "GitModelSource"),
    ArchiveSource: ("remote.archive", "ArchiveModelSource"),
    DirectorySource: ("directory", "DirectoryModelSource"),
    StoreSource: ("remote.stored", "stored_model"),
    BundledSource: ("bundled", "BundledModelSource"),
}


def model_source(configured: Source, yaml_dir: Path) -> ModelSource:
    """The source that an entry of the YAML means; relative paths in it start at `yaml_dir`."""
    module, name = _KINDS[type(configured)]
    make: Callable[[Any, Path], ModelSource] = getattr(import_module(f"tfs_workflow.sources.{module}"), name)
    return make(configured, yaml_dir)
