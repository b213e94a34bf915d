"""Fixtures for the servers; tests/conftest.py registers them for every test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive_server import ArchiveServer
from tests.support.faulty import serving
from tests.support.git_server import GitServer, tutorial_repository
from tests.support.keras_models import write_models
from tests.support.registry import RegistryServer, registry


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server with the tutorial's repository at /serving.git."""
    root = tmp_path / "repositories"
    tutorial_repository(root / "serving.git")
    with serving(GitServer(root)) as server:
        yield server


@pytest.fixture
def archive_server() -> Iterator[ArchiveServer]:
    with serving(ArchiveServer()) as server:
        yield server


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small model in every form that Keras and TensorFlow write; seconds, so its tests are slow."""
    return write_models(tmp_path_factory.mktemp("keras-models"))


@pytest.fixture
def registry_server(tmp_path: Path) -> Iterator[RegistryServer]:
    """An empty Docker registry; push to `registry_server.address`."""
    directory = tmp_path / "registry"
    directory.mkdir()
    with registry(directory) as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(directory)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)
