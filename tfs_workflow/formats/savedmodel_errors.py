"""How the files of a model must lie, and what is wrong with them: the likely mistake and the way on.

TensorFlow Serving logs "No versions of servable found" once a second and waits. Nearly always one of a few mistakes is
behind it, and the listing of the directory shows which. So each error here looks at what is there and names the
mistake.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import model_kinds

GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt")
_SHARD = re.compile(r"variables\.data-(\d{5})-of-(\d{5})")
# A directory that was named by mistake may be as large as a disk.
_MOST_DIRECTORIES = 5000
_SHOWN = 5
_LAYOUT = "a base path holds directories named by plain numbers, each with a saved_model.pb"


def is_version_name(name: str) -> bool:
    """Whether TensorFlow Serving takes a directory of this name for a version: a plain non-negative number."""
    return name.isascii() and name.isdigit() and int(name) < 2**63


def is_saved_model(directory: Path) -> bool:
    """Whether a directory is a SavedModel itself, not a base path with versions of one."""
    return any((directory / name).is_file() for name in GRAPH_FILES)


def base_paths_below(root: Path) -> list[Path]:
    """The directories from `root` on that could be served, sorted: with versions, or SavedModels themselves.

    What lies inside a SavedModel is left out. At most _MOST_DIRECTORIES are looked at.
    """
    found = set()
    for directory, names, files in islice(os.walk(root), _MOST_DIRECTORIES):
        place = Path(directory)
        if not set(GRAPH_FILES).isdisjoint(files):
            found.add(place.parent if place != root and is_version_name(place.name) else place)
            names.clear()
    return sorted(found)


def missing_variable_files(names: set[str]) -> set[str]:
    """What a directory variables/ with these names lacks: the index, or shards."""
    shards = [match for match in map(_SHARD.fullmatch, names) if match]
    # Shards of two exports side by side: the larger number is taken, and what it lacks is reported.
    counts = {int(match[2]) for match in shards} or {1}
    wanted = {f"variables.data-{i:05d}-of-{max(counts):05d}" for i in range(max(counts))} | {"variables.index"}
    return wanted - names


def check_variable_files(variables: Path) -> None:
    """Raise InvalidModelError unless the directory variables/ holds every file, and none of another kind."""
    try:
        names = {entry.name for entry in variables.iterdir()} if variables.is_dir() else set()
    except OSError as error:
        raise unreadable(variables, error) from error
    missing = sorted(missing_variable_files(names))
    if missing:
        raise InvalidModelError(
            "the model's variables are missing",
            where=str(variables),
            evidence=f"not there: {', '.join(missing)}",
            fix="copy the whole version directory, variables/ included, or export the model again",
        )
    for name in sorted(names):
        if name.startswith("variables.") and (other := model_kinds.named(variables / name)):
            raise other


def no_version(base_path: Path, names: Sequence[str]) -> InvalidModelError:
    """A base path without a version; `names` are its entries."""
    directories = [name for name in names if (base_path / name).is_dir()]
    deeper = [path.relative_to(base_path) for path in base_paths_below(base_path) if path != base_path]
    # Not one that holds the model further down: renaming it would hide the model.
    leaves = [name for name in directories if not any(len(path.parts) > 1 and path.parts[0] == name for path in deeper)]
    renamable = next((m for m in map(re.compile(r"\D*(\d+)\D.*|\D+(\d+)").fullmatch, leaves) if m), None)
    evidence = f"it holds {_listing(base_path)}"
    if not (renamable or deeper or set(names) & set(GRAPH_FILES)) and (other := model_kinds.named(base_path, evidence)):
        return other
    if not base_path.is_dir():
        what, fix = "the base path is not a directory", "give the directory that holds the model's version directories"
    elif any(name in names for name in GRAPH_FILES):
        what = "saved_model.pb lies in the base path itself, not in a version directory"
        fix = "move everything into a directory named by a number, such as 1"
    elif deeper and not (renamable and Path(renamable[0]) in deeper):
        what = f"no version directory here, but below: {', '.join(map(str, deeper[:_SHOWN]))}"
        fix = f"name that directory in the source: …/{deeper[0].as_posix()}"
    elif renamable:
        number = renamable[1] or renamable[2]
        what = f"no version: {renamable[0]!r} is not a plain number"
        fix = f"rename it to a number, such as {int(number) or 1}"
    else:
        what, fix = "no version directory", _LAYOUT
    return InvalidModelError(what, where=str(base_path), evidence=evidence, fix=fix)


def no_graph(version_dir: Path) -> InvalidModelError:
    """A version directory without saved_model.pb."""
    evidence = f"it holds {_listing(version_dir)}"
    if (other := model_kinds.other_model(version_dir)) and version_dir.is_dir():
        what, fix = f"no saved_model.pb, but {other[1].name}", other[1].fix_for(other[0])
    else:
        what = "no saved_model.pb"
        fix = 'export the model again, in Keras with model.export("DIR"), or name the directory above its version'
    return InvalidModelError(what, where=str(version_dir), evidence=evidence, fix=fix)


def unreadable(path: Path, error: OSError) -> InvalidModelError:
    """A file or directory that the operating system does not let us read."""
    return InvalidModelError(
        "cannot be read",
        where=str(path),
        evidence=str(error.strerror or error),
        fix="make the model's directories and files readable for the user that serves them",
    )


def corrupt(path: Path, evidence: str) -> InvalidModelError:
    """A saved_model.pb that holds something else."""
    return model_kinds.named(path, evidence) or InvalidModelError(
        "not a SavedModel: the file is corrupt or incomplete",
        where=str(path),
        evidence=evidence,
        fix="fetch or export the model again; a download that ended early looks like this",
    )


def _listing(directory: Path) -> str:
    if not directory.exists():
        return "nothing: it does not exist"
    if not directory.is_dir():
        return "no directory: it is a file"
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in directory.iterdir())
    except OSError as error:
        return f"what cannot be read: {error.strerror}"
    return ", ".join(names[:8]) + ", …" * (len(names) > 8) if names else "nothing"
