"""What setup and serve require of the models: every wanted version there, readable and whole.

A model server without a version that it was told to serve does not end: it logs a warning and looks again. `serve`
would wait with it until the timeout. So what can be seen in the files is checked beforehand, with the rights of the
user that the server will run as.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfs_workflow.checks.model.variable_values import check_variables_have_values
from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import savedmodel
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec
from tfs_workflow.runtimes.spec_builder import wanted_versions

_TFLITE_FILE = "model.tflite"


def check_models(spec: ServerSpec, reader: tuple[int, int] | None) -> dict[str, list[int]]:
    """The versions that must become AVAILABLE, by model; InvalidModelError when one of them could not be served.

    `reader` is the uid and gid that the server reads the files with, None for our own.
    """
    present = {model.name: _version_numbers(model) for model in spec.models}
    wanted = {model.name: wanted_versions(model, present[model.name]) for model in spec.models}
    for model in spec.models:
        check_versions(model, wanted[model.name], present[model.name])
        check_labels(model, wanted[model.name], present[model.name])
        for version in served_directories(model):
            if not (spec.prefers_tflite and is_tflite(version)):
                check_variables_have_values(version, savedmodel.servable_graph(version, spec.tags))
            check_readable(version, reader)
    return wanted


def is_tflite(version_dir: Path) -> bool:
    """Whether a version has a TensorFlow Lite model, which prefer_tflite_model serves (tflite_session.cc)."""
    return (version_dir / _TFLITE_FILE).is_file()


def served_directories(model: ModelSpec) -> list[Path]:
    """The version directories that will be served, oldest first; InvalidModelError when there is none.

    Raises InvalidModelError also where the base path cannot be read.
    """
    found = savedmodel.versions(model.base_path, model.flat_version).found
    wanted = wanted_versions(model, [version.number for version in found])
    return [version.path for version in found if version.number in wanted]


def check_readable(directory: Path, reader: tuple[int, int] | None) -> None:
    """Raise InvalidModelError for the first entry that the reader could not read."""
    for path in _entries(directory):
        if not _readable(path, reader):
            who = f"uid {reader[0]}, which the server runs as" if reader else "this user"
            raise InvalidModelError(
                f"not readable for {who}",
                where=str(path),
                evidence=stat.filemode(path.stat().st_mode),
                fix=f"chmod -R a+rX {directory}",
            )


def _version_numbers(model: ModelSpec) -> list[int]:
    return [version.number for version in savedmodel.versions(model.base_path, model.flat_version).found]


def check_versions(model: ModelSpec, wanted: Sequence[int], present: Sequence[int]) -> None:
    """Raise InvalidModelError when a version that the YAML names is not there."""
    for version in wanted:
        if version not in present:
            raise InvalidModelError(
                f"version {version} is not there",
                where=f"models.{model.name}.versions",
                evidence=f"{model.base_path} holds {listed(present)}",
                fix="ask for one of these, or set versions: latest",
            )


def check_labels(model: ModelSpec, wanted: Sequence[int], present: Sequence[int]) -> None:
    """Raise InvalidModelError when a label names a version that is not served."""
    for label, version in model.labels:
        if version not in wanted:
            raise InvalidModelError(
                f"label {label} names version {version}, which is not served",
                where=f"models.{model.name}.labels.{label}",
                evidence=f"served: {listed(wanted)}; on disk: {listed(present)}",
                fix="give the label one of the served versions, or serve that version too, such as versions: all",
            )


def listed(versions: Iterable[int]) -> str:
    """Version numbers in words."""
    return "version " + ", ".join(map(str, sorted(versions)))


def _entries(directory: Path) -> Iterator[Path]:
    yield directory
    for parent, directories, files in os.walk(directory):
        yield from (Path(parent, name) for name in (*directories, *files))


def _readable(path: Path, reader: tuple[int, int] | None) -> bool:
    # A directory must be readable, to be listed, and executable, to be entered.
    needed = os.R_OK | (os.X_OK if path.is_dir() else 0)
    if reader is None:
        return os.access(path, needed)
    uid, gid = reader
    found = path.stat()
    # The kernel's rule: the owner's bits if it is the owner, else the group's, else the others'; never a combination.
    shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
    return (found.st_mode >> shift) & needed == needed
