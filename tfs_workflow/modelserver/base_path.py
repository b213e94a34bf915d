"""Looks into a model's base path, and warns of what should be there and is not."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow import savedmodel
from tfs_workflow.errors import ModelInvalid
from tfs_workflow.modelserver import log
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig

_SOURCE = "sources/storage_path/file_system_storage_path_source.cc"


def versions_on_disk(config: ModelConfig) -> dict[int, Path] | None:
    """Version number to directory; None when the base path cannot be read, which is no reason to stop serving."""
    base_path = Path(config.base_path)
    try:
        found = {version.number: version.path for version in savedmodel.scan(base_path).found}
    except ModelInvalid as error:
        _say_access_error(f"{error.where}; {error.evidence}")
        return None
    if not base_path.exists():
        reason = f"NOT_FOUND: {base_path} not found"
        _say_access_error(f"Could not find base path {base_path} for servable {config.name} with error {reason}")
    if not found:
        log.warning(
            _SOURCE,
            f"No versions of servable {config.name} found under base path {base_path}. "
            "Did you forget to name your leaf directory as a number (eg. '/1/')?",
        )
    for number in set(config.model_version_policy.specific.versions) - found.keys():
        log.warning(
            _SOURCE,
            f"Version {number} of servable {config.name}, which was requested to be served as a 'specific' version "
            "in the servable's version policy, was not found in the file system",
        )
    return found if found or base_path.is_dir() else None


def _say_access_error(what: str) -> None:
    log.error(_SOURCE, f"FileSystemStoragePathSource encountered a filesystem access error: {what}")
