"""The project that a path alone implies: the models that it holds, written as a YAML into the user's cache.

Serving one's first model should need one path and no file. But every verb reads a YAML, and a second way to configure a
server would have to be kept in step with it. So a path is turned into a YAML, in the user's cache, and from there on
nothing is special (docs/cli.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfs_workflow.config.implied_path import directory_project, implied_path, is_archive, plain_name
from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.errors import ConfigError, InvalidModelError
from tfs_workflow.formats.savedmodel import SERVE_TAG, TAGS_FLAG, only_tags, scan, versions
from tfs_workflow.formats.savedmodel_errors import is_saved_model
from tfs_workflow.state.atomic_file import write_whole

_HEADER = """\
# Written to serve {path} from {directory}.
# `config.init --model NAME=PATH` writes a YAML to keep and to change.
"""


def write_implied_project(path: str, directory: Path) -> Path:
    """Write the YAML that serves a path: a SavedModel, a base path, a directory of several models, or an archive.

    Returns where it lies. Raises ConfigError when the path holds none of them.

    The file is replaced by the next call in the same working directory. Its mode is 0600, since an address may hold
    credentials.
    """
    import yaml  # noqa: PLC0415  # only here is one written

    target = implied_path(directory)
    document = implied_document(path, directory)
    header = _HEADER.format(path=without_secrets(path), directory=directory)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(target, header + yaml.safe_dump(document, sort_keys=False), mode=0o600)
    except OSError as error:
        raise ConfigError("cannot be written", where=str(target), evidence=str(error.strerror)) from error
    return target


def implied_document(path: str, directory: Path) -> dict[str, Any]:
    """The YAML, as values, that serves what a path holds; raises ConfigError where that is no model."""
    sources = model_sources(path, directory)
    return {
        "project": directory_project(directory),
        "workspace": "workspace",
        "server": {"rest_port": "auto", "grpc_port": "auto"} | _server_flags(sources),
        "models": {name: {"source": source} for name, source in sources.items()},
    }


def model_sources(path: str, directory: Path) -> dict[str, dict[str, Any]]:
    """Model name to source for what a path holds; a relative path starts at `directory`."""
    address = urlsplit(path)
    if address.scheme in ("http", "https"):
        return {plain_name(Path(address.path).name): {"archive": path}}
    place = Path(os.path.abspath(directory / Path(path).expanduser()))  # noqa: PTH100  # keeps links
    if place.is_file() and is_archive(place.name):
        return {plain_name(place.name): {"archive": str(place)}}
    if _holds_model(place):
        return {plain_name(place.name): {"directory": str(place)}}
    several = sorted(entry for entry in place.iterdir() if _holds_model(entry)) if place.is_dir() else []
    if several:
        return {plain_name(entry.name): {"directory": str(entry)} for entry in several}
    raise _no_model(path, place)


def tags_flag(base_paths: Iterable[Path]) -> dict[str, str]:
    """The server's flag for models whose graphs bear other tags than {serve}; empty where none needs it.

    One server takes one set of tags: models that need different ones get no flag, and setup names those that fail.
    """
    found: set[frozenset[str]] = set()
    for base_path in base_paths:
        with suppress(InvalidModelError):
            found.add(only_tags(versions(base_path, 1).found[-1].path))
    tags = found.pop() if len(found) == 1 else frozenset({SERVE_TAG})
    return {} if tags == {SERVE_TAG} else {TAGS_FLAG: ",".join(sorted(tags))}


def _server_flags(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    flags = tags_flag(Path(source["directory"]) for source in sources.values() if "directory" in source)
    return {"flags": flags} if flags else {}


def _holds_model(place: Path) -> bool:
    """Whether a directory is a SavedModel or holds numbered versions of one."""
    return place.is_dir() and (is_saved_model(place) or any(is_saved_model(v.path) for v in scan(place).found))


def _no_model(path: str, place: Path) -> ConfigError:
    if not place.exists():
        return ConfigError("there is no such file or directory", where=path, fix="name a SavedModel's directory")
    names = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else [place.name]
    listing = ", ".join(names[:8]) + ", …" * (len(names) > 8) if names else "nothing"
    return ConfigError(
        "no model that can be served",
        where=path,
        evidence=f"it holds {listing}",
        fix="name a directory with a saved_model.pb, one with numbered versions, or an archive of either",
    )
