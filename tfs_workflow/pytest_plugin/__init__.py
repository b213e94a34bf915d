"""The pytest plugin: `tfs_server` serves a model for the tests of a session, `tfs_client` asks it with arrays.

pytest loads this module in every run in whose environment this package is installed. So it imports nothing of ours, and
a run that uses no fixture of it starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tfs_workflow.client.interface import Client
    from tfs_workflow.pytest_plugin.guarded import GuardedServer

# ruff: noqa: PLC0415  # only what a test uses is imported

YAMLS = ("config/tfs.yaml", "tfs.yaml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the keys of pytest's own configuration."""
    parser.addini("tfs_model", "What tfs_server serves: a YAML, a SavedModel, or a directory of several.", default="")
    parser.addini("tfs_runtime", "What runs tfs_server: embedded, docker, native or auto.", default="embedded")


@pytest.fixture(scope="session")
def tfs_model(pytestconfig: pytest.Config) -> str:
    """The path of what `tfs_server` serves: the key tfs_model, else the root's YAML. Override it for another."""
    root = pytestconfig.rootpath
    if named := pytestconfig.getini("tfs_model"):
        return str(root / named)
    found = next((root / name for name in YAMLS if (root / name).is_file()), None)
    if found is None:
        pytest.fail(
            f"tfs_server: nothing to serve: {root} has no {' or '.join(YAMLS)}\n"
            "  next step: set tfs_model in pytest's configuration to a YAML or a SavedModel's directory",
            pytrace=False,
        )
    return str(found)


@pytest.fixture(scope="session")
def tfs_server(tfs_model: str, pytestconfig: pytest.Config) -> Iterator[GuardedServer]:
    """A model server of this session's own, on free ports, in which every model is AVAILABLE."""
    from tfs_workflow.pytest_plugin.guarded import GuardedServerError, guarded_server

    place, runtime = str(pytestconfig.rootpath / tfs_model), pytestconfig.getini("tfs_runtime")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(guarded_server(place, runtime))
        except GuardedServerError as error:
            raise pytest.fail.Exception(f"tfs_server: {error}", pytrace=False) from None
        yield server


@pytest.fixture(scope="session")
def tfs_client(tfs_server: GuardedServer) -> Iterator[Client]:
    """A client of `tfs_server` with numpy arrays in and out; `tfs_workflow.connect` says what it can do."""
    with tfs_server.connect() as client:
        yield client
