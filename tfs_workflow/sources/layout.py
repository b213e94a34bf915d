"""Where the server reads a model: a base path with version directories, whatever the source has.

A model server only takes numbered directories. A SavedModel without them (Keras's `model.export` writes one) becomes
one version: fetched files are moved into a numbered directory, a directory that is served in place is linked to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfs_workflow.formats.savedmodel import is_flat
from tfs_workflow.formats.savedmodel_errors import is_version_name
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.state.fingerprints import digests, fingerprints
from tfs_workflow.state.workspace import Workspace


@dataclass(frozen=True)
class Layout:
    """The place of one model; `flat_version` is the number of a SavedModel without version directories."""

    workspace: Workspace
    name: str
    flat_version: int = 1

    def base_path(self, source: ModelSource) -> Path:
        """Where the server will read the model: the source's own directory, else the workspace's."""
        own = source.base_path if source.served_in_place else None
        return own if own is not None and not is_flat(own) else self.workspace.models / self.name

    def identities(self, sources: Sequence[ModelSource]) -> tuple[str, ...]:
        """What a fetch from these sources is recorded under.

        The version's number is part of it where it is not 1, since it is a part of the paths of the files.
        """
        suffix = f" as version {self.flat_version}" if self.flat_version != 1 else ""
        return tuple(source.identity + suffix for source in sources)

    def link(self, source: ModelSource) -> None:
        """Make the version directory of a flat SavedModel that is served in place: a link to it."""
        own = source.base_path
        if own is None or not is_flat(own):
            return
        with self.workspace.staged(self.name) as staging:
            staged = staging / "model"
            staged.mkdir()
            (staged / str(self.flat_version)).symlink_to(own, target_is_directory=True)
            publish(staged, self.workspace.models / self.name, staging / "replaced")

    def numbered(self, staged: Path, version_name: str) -> Path:
        """The fetched files, those of a flat SavedModel moved into a version directory.

        A path that names a version itself keeps its number, unless the YAML gives another.
        """
        if is_flat(staged):
            named = is_version_name(version_name) and self.flat_version == 1
            # Aside first: a directory cannot be moved into itself.
            flat = staged.rename(staged.with_name("flat"))
            staged.mkdir()
            flat.rename(staged / (version_name if named else str(self.flat_version)))
        return staged


def publish(staged: Path, base_path: Path, replaced: Path) -> None:
    """Put the staged model in place: a new one in one rename; else entry by entry, and only those that changed.

    A model server may be serving from `base_path`: unchanged versions stay as they are under it, and a version
    appears and goes by rename. Killed in between, the files are not those of any record, and are fetched again.
    """
    if not base_path.exists():
        staged.rename(base_path)
        return
    replaced.mkdir()
    new = {entry.name for entry in staged.iterdir()}
    for entry in sorted(base_path.iterdir()):
        # A version that is the same stays where it is, so that a server does not load it again.
        if entry.name not in new or not _same(entry, staged / entry.name):
            entry.rename(replaced / entry.name)
    for name in sorted(new - {entry.name for entry in base_path.iterdir()}):
        (staged / name).rename(base_path / name)


def _same(old: Path, new: Path) -> bool:
    if old.is_symlink() or new.is_symlink():
        return old.is_symlink() and new.is_symlink() and old.readlink() == new.readlink()
    if not (old.is_dir() and new.is_dir()):
        return False
    return digests(fingerprints(old, {})) == digests(fingerprints(new, {}))
