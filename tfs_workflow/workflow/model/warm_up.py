"""warmup: write warm-up requests into the versions of models that were fetched, and remember that we did.

The lock file pins what was fetched, and a warm-up file is no part of that. So it is recorded beside the fetched files:
setup then finds the copy intact, and no server counts as outdated for a file that matters only while it loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tfs_workflow.checks import served_directories
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError, PredictionFailedError
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, WARMUP_FILE, Signature
from tfs_workflow.formats.signature_text import expectation
from tfs_workflow.formats.tfrecord import records
from tfs_workflow.quality.warmup import warmup_content, write_warmup
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.fingerprints import digests, fingerprints
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.state.setup_record import content_digest
from tfs_workflow.workflow.model.requests import Requests, golden_cases
from tfs_workflow.workflow.project import locked_project


@dataclass(frozen=True)
class WarmUp(Requests):
    """The requests; `in_place` also writes into the user's directories, `force` replaces files of the model's own."""

    in_place: bool = False
    force: bool = False


@dataclass(frozen=True)
class WarmedUp:
    """One version's warm-up file and how many requests it holds; `written` is False where it was there already."""

    model: str
    version: int
    file: Path
    requests: int
    written: bool


def warm_up(loaded: LoadedConfig, context: TransferContext, wanted: WarmUp) -> list[WarmedUp]:
    """Write the warm-up files of every target; nothing is written where one of them cannot be.

    Raises ConfigError for files that are not ours to write, and what making the requests raises.
    """
    with locked_project(loaded, context) as project:
        return write_warmups(loaded, project.session, project.wanted().spec, wanted)


def write_configured(loaded: LoadedConfig, session: StateSession, spec: ServerSpec) -> list[WarmedUp]:
    """The same for the models whose YAML says `warmup: true`; golden cases that are not recorded yet are none."""
    targets = [ModelRef(name) for name, model in loaded.config.models.items() if model.warmup]
    wanted = WarmUp(targets, golden_cases(loaded.config, targets, may_be_missing=True))
    return write_warmups(loaded, session, spec, wanted)


def write_warmups(loaded: LoadedConfig, session: StateSession, spec: ServerSpec, wanted: WarmUp) -> list[WarmedUp]:
    """The same while the caller holds the workspace's lock; the session has what setup recorded."""
    models = {model.name: model for model in spec.models}
    planned = [
        (target.model, file)
        for target in wanted.targets
        for file in _contents(loaded, models[target.model], spec, target, wanted)
    ]
    for name, (version_dir, content) in planned:
        _check_ours(session, models[name], version_dir, content, wanted)
    return [_written(session, models[name], *file) for name, file in planned]


def _contents(
    loaded: LoadedConfig, model: ModelSpec, spec: ServerSpec, target: ModelRef, wanted: WarmUp
) -> Iterator[tuple[Path, bytes]]:
    """Directory and file content of each served version, or of the one that the target names."""
    directories = served_directories(model)
    chosen = [one for one in directories if target.version in (None, _number(model, one))]
    if not chosen:
        there = ", ".join(str(_number(model, one)) for one in directories)
        what = f"{model.name} serves no version {target.version}"
        raise ConfigError(what, where="--version", fix=f"there are: {there}")
    signatures = [savedmodel.signatures(directory, spec.tags) for directory in chosen]
    cases = list(wanted.of(loaded, target, partial(_signature, target, signatures[-1])))
    for directory, found in zip(chosen, signatures, strict=True):
        yield directory, warmup_content(target, cases, found)


def _number(model: ModelSpec, directory: Path) -> int:
    return model.flat_version if directory == model.base_path else int(directory.name)


def _signature(target: ModelRef, signatures: dict[str, Signature]) -> Signature:
    name = target.signature or DEFAULT_SIGNATURE
    if name not in signatures:
        raise PredictionFailedError(expectation(target.model, name, signatures), where=target.model)
    return signatures[name]


def _check_ours(session: StateSession, model: ModelSpec, version_dir: Path, content: bytes, wanted: WarmUp) -> None:
    """Raise ConfigError unless the file may be written."""
    path = version_dir / WARMUP_FILE
    if _is_same(path, content):
        return
    if not wanted.in_place and not _is_copy(session, version_dir):
        raise ConfigError(
            "the model is served from a directory of yours, which is not written to",
            where=f"models.{model.name}: {version_dir}",
            fix="invoke warmup --in-place writes the file there",
        )
    if path.exists() and not wanted.force and _relative(model, path) not in _added(session, model):
        raise ConfigError("the model has warm-up requests of its own", where=str(path), fix="--force replaces them")


def _is_copy(session: StateSession, version_dir: Path) -> bool:
    return version_dir.resolve().is_relative_to(session.workspace.models.resolve())


def _is_same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _written(session: StateSession, model: ModelSpec, version_dir: Path, content: bytes) -> WarmedUp:
    path = version_dir / WARMUP_FILE
    unchanged = _is_same(path, content)
    if not unchanged:
        write_warmup(version_dir, content)
        if _is_copy(session, version_dir):
            _record(session, model, path)
    count = sum(1 for _ in records(content))
    return WarmedUp(model.name, _number(model, version_dir), path, count, not unchanged)


def _record(session: StateSession, model: ModelSpec, path: Path) -> None:
    """Remember the file as added to the copy, and that what is served has another content."""
    fetched, setup = session.state.fetched[model.name], session.state.setup
    relative = _relative(model, path)
    now = fingerprints(model.base_path, fetched.present)[relative]
    fetched = replace(fetched, added={**fetched.added, relative: now})
    session.record_fetch(model.name, fetched)
    if setup:
        known = replace(setup.models[model.name], content=content_digest(digests(fetched.present)))
        session.change(setup=replace(setup, models={**setup.models, model.name: known}))


def _added(session: StateSession, model: ModelSpec) -> Sequence[str]:
    fetched = session.state.fetched.get(model.name)
    return tuple(fetched.added) if fetched else ()


def _relative(model: ModelSpec, path: Path) -> str:
    return path.relative_to(model.base_path).as_posix()
