"""The lock file beside the YAML: pins exactly what was set up, so it can be reproduced or fail with a clear error.

The YAML names what is wanted, such as a branch or a tag; the lock file holds what was found, such as a commit and a
digest for every file. Under version control beside the YAML, it makes a later setup on another machine give the same
server, or fail and name what moved (docs/decisions/0003-lock-beside-the-yaml.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tfs_workflow.config.types import Frozen
from tfs_workflow.errors import ConfigError
from tfs_workflow.state.atomic_file import write_whole


class LockedModel(Frozen):
    """Where one model came from; `commit` is git's, or an archive's sha256; `files` maps paths to sha256."""

    source: str
    commit: str = ""
    files: dict[str, str] = Field(default_factory=dict)


class Lock(Frozen):
    """Everything that `setup` pinned; the image's parts are empty where no image was pulled."""

    format: Literal[1] = 1
    image: str = ""
    image_digest: str = ""
    models: dict[str, LockedModel] = Field(default_factory=dict)


def lock_path(yaml_path: Path) -> Path:
    """The lock file that belongs to this YAML."""
    return yaml_path.with_suffix(".lock")


def read(path: Path) -> Lock | None:
    """The lock, or None where the file is missing; ConfigError when it is malformed."""
    try:
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, "the lock file cannot be read", str(error.strerror)) from error
    except ValidationError as error:
        # One error is enough: a lock file is written by this tool, so that the rest follows from the first.
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(path, "the lock file is malformed", f"{place}: {first['msg']}".removeprefix(": ")) from error


def write(path: Path, lock: Lock) -> None:
    """Write it sorted, one fact a line, so that a diff shows what moved; the same lock leaves the file alone.

    Raises ConfigError where it cannot be written.
    """
    text = lock.model_copy(update={"models": dict(sorted(lock.models.items()))})
    ordered = {
        name: model.model_copy(update={"files": dict(sorted(model.files.items()))})
        for name, model in text.models.items()
    }
    content = text.model_copy(update={"models": ordered}).model_dump_json(indent=2) + "\n"
    try:
        # An unchanged file keeps its time, and version control sees no change.
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            write_whole(path, content)
    except OSError as error:
        raise _unusable(path, "the lock file cannot be written", str(error.strerror)) from error


def differences(locked: Lock, found: Lock) -> list[str]:
    """One line for everything in which the two disagree, in the order of the file; empty when they agree."""
    lines = [
        *_moved("image", locked.image, found.image),
        *_moved("image digest", locked.image_digest, found.image_digest),
    ]
    for name in sorted(locked.models.keys() | found.models.keys()):
        if name not in found.models:
            lines.append(f"{name}: locked, but not in the YAML")
        elif name not in locked.models:
            lines.append(f"{name}: in the YAML, but not locked")
        else:
            lines += [f"{name}: {line}" for line in model_differences(locked.models[name], found.models[name])]
    return lines


def model_differences(locked: LockedModel, found: LockedModel) -> list[str]:
    """One line for each difference of one model, without its name."""
    moved = [*_moved("source", locked.source, found.source), *_moved("commit", locked.commit, found.commit)]
    return [*moved, *_changed_files(locked.files, found.files)]


def _moved(what: str, locked: str, found: str) -> Iterator[str]:
    if locked != found:
        yield f"{what}: locked {locked or 'none'}, found {found or 'none'}"


def _changed_files(locked: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for path in sorted(locked.keys() | found.keys()):
        if path not in found:
            yield f"{path}: locked, but missing"
        elif path not in locked:
            yield f"{path}: found, but not locked"
        elif locked[path] != found[path]:
            yield f"{path}: sha256 locked {locked[path][:12]}…, found {found[path][:12]}…"


def _unusable(path: Path, what: str, evidence: str) -> ConfigError:
    return ConfigError(
        what, where=str(path), evidence=evidence, fix="restore it from version control, or remove it and run setup"
    )
