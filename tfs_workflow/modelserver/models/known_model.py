"""What a repository knows of one model: its configuration, and every version that was ever wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.models.arrivals import Arrivals
from tfs_workflow.modelserver.models.version_policy import VersionState
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig


@dataclass
class VersionRecord:
    """A version that was wanted at some time."""

    number: int
    path: Path
    state: VersionState = VersionState.START
    error: StatusError | None = None
    servable: Servable | None = None


@dataclass
class KnownModel:
    """A model with its versions; the repository's lock guards it."""

    config: ModelConfig
    wanted: set[int] = field(default_factory=set)
    versions: dict[int, VersionRecord] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    arrivals: Arrivals = field(default_factory=Arrivals)
    is_configured: bool = True

    def states(self) -> dict[int, VersionState]:
        """The state of each version."""
        return {number: version.state for number, version in self.versions.items()}

    def started(self) -> dict[int, VersionState]:
        """The versions that are not to be started: in work, serving, or failed and wanted ever since."""
        return {n: v.state for n, v in self.versions.items() if v.state is not VersionState.END or n in self.failed}

    @property
    def is_ready(self) -> bool:
        """Whether every wanted version is AVAILABLE; without a wanted version it is not."""
        states = self.states()
        return bool(self.wanted) and all(states.get(number) is VersionState.AVAILABLE for number in self.wanted)

    @property
    def has_failed(self) -> bool:
        """Whether every wanted version has failed; one that ended without an error is about to be loaded again."""
        return bool(self.wanted) and self.wanted <= self.failed
