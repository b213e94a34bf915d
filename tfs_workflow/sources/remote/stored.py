"""Which class fetches an address of a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tfs_workflow.config.types import StoreSource
from tfs_workflow.sources.remote.bucket import BucketModelSource
from tfs_workflow.sources.remote.hub import HubModelSource
from tfs_workflow.sources.source import ModelSource

_KINDS: Mapping[str, Callable[[StoreSource, Path], ModelSource]] = {
    "s3": BucketModelSource,
    "gs": BucketModelSource,
    "hf": HubModelSource,
}


def stored_model(configured: StoreSource, yaml_dir: Path) -> ModelSource:
    """The source that the address means, by its scheme."""
    return _KINDS[configured.store.partition("://")[0]](configured, yaml_dir)
