"""What every kind of model source can do.

Sources differ in much: one is served in place, one needs a program, most need a network. Workflows and checks see
these differences as members of one Protocol and never by the type of a source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tfs_workflow.sources.transfer import TransferContext


class ModelSource(Protocol):
    """One source of a model, made from its type in the YAML and the YAML's directory.

    A new kind of source is a class with these members, in a module of its own, and its line in the registry. The
    members that have a value here are for the kinds that differ from the others.
    """

    needs_git: bool = False

    @property
    def needs_network(self) -> bool:
        """Whether a fetch contacts another machine, so that it fails with --offline."""
        return False

    @property
    def description(self) -> str:
        """The source in one line, without credentials; the same on every machine."""

    @property
    def identity(self) -> str:
        """What a fetch is recorded under: the description, and what else makes it another model."""
        return self.description

    @property
    def base_path(self) -> Path | None:
        """The base path where the model's files are on this machine before any fetch, else None."""
        return None

    @property
    def version_name(self) -> str:
        """The last part of the path that the YAML names, which is a number where it names a version itself."""
        return ""

    @property
    def served_in_place(self) -> bool:
        """Whether the server reads `base_path` itself, so that nothing is copied into the workspace."""
        return False

    def mistake(self) -> tuple[str, str] | None:
        """Evidence and fix of a YAML entry that can never work, found without a look at files or network."""
        return None

    def fetch_into(self, staging: Path, label: str, context: TransferContext) -> str:
        """Write the base path to `staging`/model; the commit or checksum that it came from, else empty.

        Raises ConfigError, FetchFailedError, SourceUnreachableError and ToolMissingError. Not called where it is
        served in place.
        """

    def require_readable(self) -> None:
        """Raise FetchFailedError or InvalidModelError unless a base path that is served in place can be read."""
