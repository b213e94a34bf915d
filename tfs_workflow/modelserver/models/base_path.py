"""Looks into a model's base path, and warns of what should be there and is not.

A base path may vanish for a moment, on a network file system or while it is replaced. None means "not known now" and
leaves the versions that are served; an empty dict means "nothing there" and lets the policy unload them. Only a
directory that exists and can be read gives the latter. The log lines are TensorFlow Serving's, which monitoring
searches for.
"""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import savedmodel
from tfs_workflow.modelserver import log
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig

_SOURCE = "sources/storage_path/file_system_storage_path_source.cc"


def versions_on_disk(config: ModelConfig) -> dict[int, Path] | None:
    """Version number to directory; None when the base path cannot be read, which is no reason to stop serving."""
    if "://" in config.base_path:  # no file system of the cloud is built in, as in TensorFlow Serving since 2.7
        scheme = config.base_path.partition("://")[0]
        reason = f"UNIMPLEMENTED: File system scheme '{scheme}' not implemented (file: '{config.base_path}')"
        _say_not_found(config, reason)
        return None
    base_path = Path(config.base_path)
    try:
        found = {version.number: version.path for version in savedmodel.scan(base_path).found}
    except InvalidModelError as error:
        _say_access_error(f"{error.where}; {error.evidence}")
        return None
    if not base_path.exists():
        _say_not_found(config, f"NOT_FOUND: {base_path} not found")
    if not found:
        log.warning(
            _SOURCE,
            f"No versions of servable {config.name} found under base path {base_path}. "
            "Did you forget to name your leaf directory as a number (eg. '/1/')?",
        )
    # Logged at each look, like all of these lines: TensorFlow Serving does the same.
    for number in set(config.model_version_policy.specific.versions) - found.keys():
        log.warning(
            _SOURCE,
            f"Version {number} of servable {config.name}, which was requested to be served as a 'specific' version "
            "in the servable's version policy, was not found in the file system",
        )
    return found if found or base_path.is_dir() else None


def _say_not_found(config: ModelConfig, reason: str) -> None:
    _say_access_error(f"Could not find base path {config.base_path} for servable {config.name} with error {reason}")


def _say_access_error(what: str) -> None:
    log.error(_SOURCE, f"FileSystemStoragePathSource encountered a filesystem access error: {what}")
