"""A workspace and a transfer that remembers what it was told and never sleeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.git_server import MODEL_PATH, TAG, GitServer
from tfs_workflow.config.types import GitSource, Source
from tfs_workflow.sources.fetch import Fetched, fetch
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.lockfile import LockedModel
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.state.workspace import Workspace

NAME = "half_plus_two"


@dataclass
class Fetching:
    """Fetches a model under one name into one workspace, and keeps what the user would have seen."""

    workspace: Workspace
    yaml_dir: Path
    notices: list[str] = field(default_factory=list)
    progress: list[tuple[str, int, int | None]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    idle_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        self.session = StateSession(self.workspace)

    def __call__(
        self, *sources: Source, offline: bool = False, update: bool = False, locked: LockedModel | None = None
    ) -> Fetched:
        context = TransferContext(
            progress=lambda *seen: self.progress.append(seen),
            notify=self.notices.append,
            sleep=self.pauses.append,
            idle_timeout_s=self.idle_timeout_s,
        )
        try:
            return fetch(
                NAME, sources, self.session, self.yaml_dir, context, offline=offline, update=update, locked=locked
            )
        finally:
            assert list((self.workspace.path / "staging").iterdir()) == []

    @property
    def base_path(self) -> Path:
        return self.workspace.models / NAME


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", "test")


@pytest.fixture
def fetching(workspace: Workspace, tmp_path: Path) -> Fetching:
    return Fetching(workspace, tmp_path)


@pytest.fixture
def source(git_server: GitServer) -> Callable[..., GitSource]:
    """The tutorial's source on the test server, with parts replaced."""

    def build(git: str = f"{git_server.url}/serving.git", ref: str = TAG, path: str = MODEL_PATH) -> GitSource:
        return GitSource(git=git, ref=ref, path=path)

    return build
