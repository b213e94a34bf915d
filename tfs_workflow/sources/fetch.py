"""Fetches a model from the first of its sources that can be reached, and records what it got.

Each kind of source is a class of its own (registry.py). What they share is here: the order of the sources, what moves
on to the next one, the lock, the move into place, and the record that makes a second fetch a no-op.

Three invariants hold. What was there before stays until its successor is complete and fits the lock. The record is
written after the files, so that a kill in between is seen as changed files and fetched again. And only an unreachable
source leads to the next one: a wrong checksum or a missing path is a fault of the configuration, which another source
must not hide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfs_workflow.config.types import Source
from tfs_workflow.errors import FetchFailedError, SourceUnreachableError
from tfs_workflow.sources.layout import Layout, publish
from tfs_workflow.sources.registry import model_source
from tfs_workflow.sources.safe_directory import disk_errors
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.fingerprints import digests, fingerprints, is_intact
from tfs_workflow.state.lockfile import LockedModel, model_differences
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.state.records import FetchRecord


@dataclass(frozen=True)
class Fetched:
    """A model's files on this machine, and where they came from.

    `commit` is git's, or an archive's sha256, else empty. `files` maps relative paths to sha256; `present` is the same
    with the files that were added since. `fell_back` holds a
    line for every source that was unreachable when the model was fetched; `fresh` is False when nothing was to do.
    """

    base_path: Path
    description: str
    commit: str
    files: Mapping[str, str]
    present: Mapping[str, str]
    fell_back: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def locked(self) -> LockedModel:
        """The model as the lock file pins it."""
        return LockedModel(source=self.description, commit=self.commit, files=dict(self.files))


def fetch(  # noqa: PLR0913  # each is another condition of the same fetch
    name: str,
    sources: Sequence[Source],
    session: StateSession,
    yaml_dir: Path,
    context: TransferContext | None = None,
    *,
    offline: bool = False,
    update: bool = False,
    locked: LockedModel | None = None,
    flat_version: int = 1,
) -> Fetched:
    """Provide the model's files from the first source that can be reached; a no-op while they are as recorded.

    `update` contacts the sources again. `offline` makes no network call. With `locked`, anything else than the lock
    says is FetchFailedError, and the files stay as they were. A SavedModel without version directories becomes version
    `flat_version`. The caller holds the workspace's lock; several models
    may be
    fetched at the same time. Raises what the sources raise: ConfigError, FetchFailedError, SourceUnreachableError,
    ToolMissingError.
    """
    found = None if update else recorded(name, sources, session, yaml_dir, flat_version)
    # What is here fits the lock, or nothing else can be had: then the difference is the error.
    if found and locked and (offline or not model_differences(locked, found.locked)):
        _check_lock(name, locked, found)
    elif not found or locked:
        resolved = tuple(model_source(source, yaml_dir) for source in sources)
        layout = Layout(session.workspace, name, flat_version)
        found = _Fetch(name, resolved, session, context or TransferContext(), offline, locked, layout).run()
    return found


def recorded(
    name: str, sources: Sequence[Source], session: StateSession, yaml_dir: Path, flat_version: int = 1
) -> Fetched | None:
    """The result of an earlier fetch from these sources, None if its files changed; reads no file, no network.

    Sizes and times alone are compared, as `fingerprints` explains.
    """
    record = session.state.fetched.get(name)
    resolved = [model_source(source, yaml_dir) for source in sources]
    layout = Layout(session.workspace, name, flat_version)
    if record is None or record.sources != layout.identities(resolved):
        return None
    source = resolved[record.used]
    base_path = layout.base_path(source)
    return _fetched(source, base_path, record, fresh=False) if is_intact(base_path, record.present) else None


@dataclass(frozen=True)
class _Fetch:
    """One model on its way into the workspace."""

    name: str
    sources: tuple[ModelSource, ...]
    session: StateSession
    context: TransferContext
    offline: bool
    locked: LockedModel | None
    layout: Layout

    def run(self) -> Fetched:
        """Try the sources in order; only an unreachable one moves on to the next, with a notice."""
        unreachable: list[str] = []
        for number in range(len(self.sources)):
            try:
                with disk_errors(self.session.workspace.path):
                    return self._from(number, tuple(unreachable))
            except SourceUnreachableError as error:
                # Without an alternative the source's own error explains more than a summary.
                if len(self.sources) == 1:
                    raise
                why = f"{error.what} ({error.evidence})" if error.evidence else error.what
                unreachable.append(f"{error.where}: {why}")
                if rest := self.sources[number + 1 :]:
                    self.context.notify(f"{self.name}: {unreachable[-1]}; falling back to {rest[0].description}")
        fix = "add a directory or `bundled` source" if self.offline else "check the network, or add another source"
        evidence = "; ".join(unreachable)
        raise SourceUnreachableError("no source can be reached", where=f"model {self.name}", evidence=evidence, fix=fix)

    def _from(self, number: int, fell_back: tuple[str, ...]) -> Fetched:
        """Put the files in place and record them, or raise and leave what was there."""
        source = self.sources[number]
        base_path = self.layout.base_path(source)
        identities = self.layout.identities(self.sources)
        if source.served_in_place:
            source.require_readable()
            self.layout.link(source)
            before = self.session.state.fetched.get(self.name)
            files = fingerprints(base_path, before.files if before else {})
            return self._record(source, base_path, FetchRecord(identities, number, "", files, fell_back))
        self._require_network(source)
        with self.session.workspace.staged(self.name) as staging:
            commit = source.fetch_into(staging, self.name, self.context)
            staged = self.layout.numbered(staging / "model", source.version_name)
            record = FetchRecord(identities, number, commit, fingerprints(staged, {}), fell_back)
            self._check_lock(_fetched(source, staged, record, fresh=True))
            # After the lock was checked: a refused model leaves the old one in place.
            publish(staged, base_path, staging / "replaced")
            # Once more: an unchanged version kept its old files, whose times differ from the staged ones.
            return self._record(source, base_path, replace(record, files=fingerprints(base_path, record.files)))

    def _require_network(self, source: ModelSource) -> None:
        if self.offline and source.needs_network:
            raise SourceUnreachableError(
                "offline, and the model is not in the workspace",
                where=source.description,
                fix="run setup once with the network, or add a directory or `bundled` source",
            )

    def _record(self, source: ModelSource, base_path: Path, record: FetchRecord) -> Fetched:
        found = _fetched(source, base_path, record, fresh=True)
        self._check_lock(found)
        self.session.record_fetch(self.name, record)
        return found

    def _check_lock(self, found: Fetched) -> None:
        if self.locked:
            _check_lock(self.name, self.locked, found)


def _fetched(source: ModelSource, base_path: Path, record: FetchRecord, *, fresh: bool) -> Fetched:
    return Fetched(
        base_path,
        source.description,
        record.commit,
        digests(record.files),
        digests(record.present),
        record.fell_back,
        fresh,
    )


def _check_lock(name: str, locked: LockedModel, found: Fetched) -> None:
    if lines := model_differences(locked, found.locked):
        more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise FetchFailedError(
            "the model is not the one in the lock file; nothing was replaced",
            where=f"model {name}",
            evidence="; ".join(lines[:3]) + more,
            fix="run setup without --locked to take the new one, or name the locked commit in the YAML",
        )
