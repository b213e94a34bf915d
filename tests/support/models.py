"""Model directories as users really have them: whole, and broken in the ways that the trackers are full of."""

from __future__ import annotations

import shutil
from pathlib import Path

BUNDLED = Path(__file__).parents[2] / "tfs_workflow" / "bundled" / "half_plus_two"
VERSION = BUNDLED / "00000123"


def good(directory: Path, *versions: str) -> Path:
    """A base path with these version directories."""
    for version in versions or ("1",):
        shutil.copytree(VERSION, directory / "model" / version)
    return directory / "model"


def without_version(directory: Path) -> Path:
    (directory / "model").mkdir()
    return directory / "model"


def version_named_v01(directory: Path) -> Path:
    return good(directory, "v0.1")


def saved_model_at_the_root(directory: Path) -> Path:
    return Path(shutil.copytree(VERSION, directory / "model"))


def corrupt(directory: Path) -> Path:
    base_path = good(directory)
    (base_path / "1" / "saved_model.pb").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    return base_path


def empty_saved_model(directory: Path) -> Path:
    base_path = good(directory)
    (base_path / "1" / "saved_model.pb").write_bytes(b"")
    return base_path


def keras_file(directory: Path) -> Path:
    (directory / "model.keras").write_bytes(b"PK\x03\x04" + bytes(26) + b"metadata.json{}")
    return directory / "model.keras"


def not_there(directory: Path) -> Path:
    return directory / "nowhere"
