"""Where models come from: git, archive, directory, bundled, one file each; here, in the order that the YAML gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfs_workflow import __version__
from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import ArchiveSource, BundledSource, DirectorySource, GitSource, Source
from tfs_workflow.errors import FetchFailed, SourceUnreachable
from tfs_workflow.sources import bundled, directory, git
from tfs_workflow.sources.safe_directory import disk_errors
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.state.fingerprints import digests, is_intact, stamps
from tfs_workflow.state.lockfile import LockedModel, model_differences
from tfs_workflow.state.workspace import Workspace


@dataclass(frozen=True)
class Fetched:
    """A model's files on this machine, and where they came from.

    `commit` is git's, or an archive's sha256, else empty. `files` maps relative paths to sha256. `fell_back` holds a
    line for every source that was unreachable when the model was fetched; `fresh` is False when nothing was to do.
    """

    base_path: Path
    description: str
    commit: str
    files: Mapping[str, str]
    fell_back: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def locked(self) -> LockedModel:
        """What the lock file says about it."""
        return LockedModel(source=self.description, commit=self.commit, files=dict(self.files))


def describe(source: Source) -> str:
    """The source in one line, without credentials; the same on every machine."""
    match source:
        case GitSource():
            return f"git {without_secrets(source.git)} {source.ref} {source.path}"
        case ArchiveSource():
            return f"archive {without_secrets(source.archive)} {source.path}"
        case DirectorySource():
            return f"directory {source.directory}"
        case BundledSource():
            return f"bundled {source.bundled}"


def fetch(  # noqa: PLR0913  # each says another thing about the same fetch
    name: str,
    sources: Sequence[Source],
    workspace: Workspace,
    yaml_dir: Path,
    transfer: Transfer | None = None,
    *,
    offline: bool = False,
    update: bool = False,
    locked: LockedModel | None = None,
) -> Fetched:
    """Have the model's files from the first source that can be reached; nothing is done while they are as recorded.

    `update` asks the sources again. `offline` touches no network. With `locked`, anything else than the lock says is
    FetchFailed, and what was there stays. The caller holds the workspace's lock; several models may be fetched at
    the same time. Raises what the sources raise: ConfigError, FetchFailed, SourceUnreachable, ToolMissing.
    """
    found = None if update else kept(name, sources, workspace, yaml_dir)
    if found and locked and (offline or not model_differences(locked, found.locked)):
        _check_lock(name, locked, found)
    elif not found or locked:
        attempt = _Fetch(name, tuple(sources), workspace, yaml_dir, transfer or Transfer(), offline, locked)
        found = attempt.from_first_reachable()
    return found


def kept(name: str, sources: Sequence[Source], workspace: Workspace, yaml_dir: Path) -> Fetched | None:
    """What an earlier fetch from these sources left, if it is still as it was; reads no model file, no network."""
    record = workspace.recall(_key(name))
    if not isinstance(record, dict) or record.get("sources") != [_identity(source) for source in sources]:
        return None
    source = sources[record["used"]]
    base_path = workspace.models / name
    if isinstance(source, DirectorySource):
        base_path = directory.absolute(source, yaml_dir)
    return _recorded(source, base_path, record, fresh=False) if is_intact(base_path, record["files"]) else None


@dataclass(frozen=True)
class _Fetch:
    """One model on its way into the workspace."""

    name: str
    sources: tuple[Source, ...]
    workspace: Workspace
    yaml_dir: Path
    transfer: Transfer
    offline: bool
    locked: LockedModel | None

    def from_first_reachable(self) -> Fetched:
        """Try the sources in order; only an unreachable one moves on to the next, and says so."""
        unreachable: list[str] = []
        record = {"sources": [_identity(source) for source in self.sources], "fell_back": unreachable}
        for number, source in enumerate(self.sources):
            try:
                with disk_errors(self.workspace.path):
                    return self._from(source, record | {"used": number})
            except SourceUnreachable as error:
                if len(self.sources) == 1:
                    raise
                why = f"{error.what} ({error.evidence})" if error.evidence else error.what
                unreachable.append(f"{error.where}: {why}")
                if rest := self.sources[number + 1 :]:
                    self.transfer.announce(f"{self.name}: {unreachable[-1]}; falling back to {describe(rest[0])}")
        fix = "add a directory or `bundled` source" if self.offline else "check the network, or add another source"
        evidence = "; ".join(unreachable)
        raise SourceUnreachable("no source can be reached", where=f"model {self.name}", evidence=evidence, fix=fix)

    def _from(self, source: Source, record: dict[str, Any]) -> Fetched:
        """Have the files in place and recorded, or raise and leave what was there."""
        if isinstance(source, DirectorySource):
            base_path = directory.base_path(source, self.yaml_dir)
            known = (self.workspace.recall(_key(self.name)) or {}).get("files", {})
            return self._record(source, base_path, record | {"commit": "", "files": stamps(base_path, known)})
        if self.offline and _needs_network(source):
            raise SourceUnreachable(
                "offline, and the model is not in the workspace",
                where=describe(source),
                fix="run setup once with the network, or add a directory or `bundled` source",
            )
        with self.workspace.staged(self.name) as staging:
            record |= {"commit": self._land(source, staging)}
            staged = staging / "model"
            landed = stamps(staged, {})
            self._check_lock(_recorded(source, staged, record | {"files": landed}, fresh=True))
            base_path = self.workspace.models / self.name
            _publish(staged, base_path, staging / "replaced")
            return self._record(source, base_path, record | {"files": stamps(base_path, landed)})

    def _land(self, source: GitSource | ArchiveSource | BundledSource, staging: Path) -> str:
        match source:
            case GitSource():
                return git.land(source, self.yaml_dir, staging, self.name, self.transfer)
            case ArchiveSource():
                # Here and not above: importing requests takes longer than a whole `setup` that has nothing to do.
                from tfs_workflow.sources import archive  # noqa: PLC0415

                return archive.land(source, staging, self.name, self.transfer)
            case BundledSource():
                bundled.land(source, staging)
        return ""

    def _record(self, source: Source, base_path: Path, record: dict[str, Any]) -> Fetched:
        found = _recorded(source, base_path, record, fresh=True)
        self._check_lock(found)
        self.workspace.remember(_key(self.name), record)
        return found

    def _check_lock(self, found: Fetched) -> None:
        if self.locked:
            _check_lock(self.name, self.locked, found)


def _recorded(source: Source, base_path: Path, record: dict[str, Any], *, fresh: bool) -> Fetched:
    files = digests(record["files"])
    return Fetched(base_path, describe(source), record["commit"], files, tuple(record["fell_back"]), fresh)


def _check_lock(name: str, locked: LockedModel, found: Fetched) -> None:
    if lines := model_differences(locked, found.locked):
        more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise FetchFailed(
            "the model is not the one in the lock file; nothing was replaced",
            where=f"model {name}",
            evidence="; ".join(lines[:3]) + more,
            fix="run setup without --locked to take the new one, or name the locked commit in the YAML",
        )


def _publish(staged: Path, base_path: Path, replaced: Path) -> None:
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
        if entry.name not in new or not _same(entry, staged / entry.name):
            entry.rename(replaced / entry.name)
    for name in sorted(new - {entry.name for entry in base_path.iterdir()}):
        (staged / name).rename(base_path / name)


def _same(old: Path, new: Path) -> bool:
    if not (old.is_dir() and new.is_dir()):
        return False
    return digests(stamps(old, {})) == digests(stamps(new, {}))


def _needs_network(source: Source) -> bool:
    return isinstance(source, ArchiveSource) or (isinstance(source, GitSource) and not git.is_local(source))


def _identity(source: Source) -> str:
    """What a fetch is recorded under: the description, and what else makes it another model."""
    match source:
        case ArchiveSource():
            return f"{describe(source)} {source.sha256}"
        case BundledSource():
            return f"{describe(source)} of tfs-workflow {__version__}"
        case _:
            return describe(source)


def _key(name: str) -> str:
    return f"model.{name}"
