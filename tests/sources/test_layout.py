"""A SavedModel without version directories becomes one version, wherever it comes from."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

from tests.sources.conftest import NAME, Fetching
from tests.support.archive_server import ArchiveServer
from tests.support.models import BUNDLED
from tfs_workflow.config.types import ArchiveSource, DirectorySource

VERSION = BUNDLED / "00000123"


def flat_model(tmp_path: Path) -> Path:
    shutil.copytree(VERSION, tmp_path / "flat")
    return tmp_path / "flat"


def test_a_directory_is_linked_to_and_stays_as_it_is(fetching: Fetching, tmp_path: Path) -> None:
    flat = flat_model(tmp_path)
    before = sorted(path.name for path in flat.iterdir())
    found = fetching(DirectorySource(directory="flat"))
    assert found.base_path == fetching.workspace.models / NAME
    assert (found.base_path / "1").resolve() == flat
    assert "1/saved_model.pb" in found.files
    assert sorted(path.name for path in flat.iterdir()) == before
    assert not fetching(DirectorySource(directory="flat")).fresh


def test_a_directory_that_moved_is_linked_to_in_its_new_place(fetching: Fetching, tmp_path: Path) -> None:
    flat = flat_model(tmp_path)
    fetching(DirectorySource(directory="flat"))
    flat.rename(tmp_path / "moved")
    found = fetching(DirectorySource(directory="moved"))
    assert (found.base_path / "1").resolve() == tmp_path / "moved"


def test_a_directory_that_gets_versions_is_served_as_it_is(fetching: Fetching, tmp_path: Path) -> None:
    flat = flat_model(tmp_path)
    fetching(DirectorySource(directory="flat"))
    version = tmp_path / "version"
    flat.rename(version)
    flat.mkdir()
    version.rename(flat / "5")
    found = fetching(DirectorySource(directory="flat"))
    assert found.base_path == flat
    assert "5/saved_model.pb" in found.files


def test_an_archive_is_unpacked_into_a_version(fetching: Fetching, archive_server: ArchiveServer) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(VERSION, "exported")
    address, digest = archive_server.put("m.tar.gz", buffer.getvalue())
    source = ArchiveSource(archive=address, sha256=digest, path="exported")
    found = fetching(source)
    assert found.base_path == fetching.workspace.models / NAME
    assert (found.base_path / "1" / "saved_model.pb").is_file()
    assert not fetching(source).fresh
