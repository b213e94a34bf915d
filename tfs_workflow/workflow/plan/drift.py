"""Drift: the differences of the running server from the YAML, the files and the image that it was started from.

A running server and the YAML are compared in three ways. The digest of the spec shows whether anything differs that
needs another server. The record of `serve` shows what differs, key by key, if it is that server's record: also the
models, which a reload changes (model_drift.py). The fingerprints show whether files of a served version have changed,
without reading those whose size and time are the same.

Not every difference is drift. A version that was added later is served by itself, and a changed file of a version that
is not loaded has no effect.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.spec import MODEL_CONFIG, ModelSpec, ServerSpec
from tfs_workflow.state.fingerprints import changed_since, fingerprints_unread
from tfs_workflow.state.records import FetchRecord, ServedRecord
from tfs_workflow.workflow.plan.difference import RELOADS, REPLACES, SWITCHES, Drift
from tfs_workflow.workflow.plan.model_drift import model_drift, recorded_models
from tfs_workflow.workflow.plan.observation import ObservedServer, Statuses

SETUP_AND_SERVE = "run invoke setup serve"
LISTED_FILES = 3
# The fields of the spec that an engine is started with; the others are those of the server's process.
_OF_AN_ENGINE = {"models", "metrics", "batching", "flags", "tensorflow", "kept_ports"}
# Where a field of the spec comes from in the YAML, unless it is the key of the same name below `server`.
_KEYS = {
    "project": "project",
    "runtime": "runtime",
    "image_digest": "the image that setup recorded",
    "binary": "server.native_binary",
    "memory_bytes": "server.memory",
    "tensorflow": "the installed TensorFlow",
    "models_dir": "workspace",
}


def served_record(
    server: ModelServer, spec: ServerSpec, versions: Mapping[str, Sequence[int]], fetched: Mapping[str, FetchRecord]
) -> ServedRecord:
    """The record of a server that was just started; reads no model file, and takes the digests from `fetched`.

    `versions` are those that must become AVAILABLE, by model. Raises OSError.
    """
    files = {
        model.name: fingerprints_unread(
            model.base_path,
            versions[model.name],
            fetched[model.name].present if model.name in fetched else {},
        )
        for model in spec.models
    }
    return ServedRecord(server.id, server.started_at.isoformat(), _plain(spec), files)


def records_versions(served: ServedRecord, versions: Mapping[str, Sequence[int]]) -> bool:
    """Whether the record has files of each of these versions; one that the server found by itself is not in it."""
    recorded = {name: {path.partition("/")[0] for path in files} for name, files in served.files.items()}
    known = {name: {int(directory) for directory in found} for name, found in recorded.items()}
    return all(set(numbers) <= known.get(name, set()) for name, numbers in versions.items())


def served_again(before: ServedRecord, now: ServedRecord) -> ServedRecord:
    """The record of a server that serves something else now: what was loaded before has the files of that time."""
    files = {}
    for name, found in now.files.items():
        loaded = before.files.get(name, {})
        files[name] = {path: loaded.get(path, fingerprint) for path, fingerprint in found.items()}
    return replace(now, files=files, started_at=before.started_at, digest=before.digest)


def drift(observed: ObservedServer, spec: ServerSpec, served: ServedRecord | None) -> list[Drift]:
    """The differences of a running server from YAML and files."""
    # The record of another server would name its files, and report their differences as this one's.
    server = observed.server
    known = served if served and served.id == server.id else None
    found = configuration_drift(observed, spec, known)
    if known is not None:
        found += _switched(_files(spec, known, observed.models), known, spec)
    return [*found, *_ended(spec, observed.models or {})]


def server_drift(observed: ObservedServer, spec: ServerSpec, served: ServedRecord | None) -> list[Drift]:
    """Why serve must change a running server; files and versions count only where it need not be another one."""
    if observed.server.digest != spec.digest():
        return configuration_drift(observed, spec, served)
    return drift(observed, spec, served)


def configuration_drift(observed: ObservedServer, spec: ServerSpec, served: ServedRecord | None) -> list[Drift]:
    """The differences of the server's spec, key by key where `serve` recorded it."""
    server = observed.server
    before = recorded_models(served) if served and served.id == server.id else None
    if served is None or before is None:
        return _unrecorded(observed, spec)
    models = list(model_drift(server, spec, before))
    if server.digest == spec.digest():
        return _switched([*models, *_unsettled(observed, served, [] if models else spec.models)], served, spec)
    moved = [Drift("configuration", *one) for one in _moved(served.spec, _plain(spec))]
    # The new server gets these, too.
    moved += [replace(one, fix=REPLACES, by_reload=False) for one in models]
    return _switched(moved or [_of_another_spec(server, spec)], served, spec)


def _switched(found: Iterable[Drift], served: ServedRecord, spec: ServerSpec) -> list[Drift]:
    """The differences, by switch where another engine of this server can have what is wanted."""
    if not _can_switch(served.spec, _plain(spec), spec):
        return list(found)
    return [replace(one, by_switch=True, fix=SWITCHES if one.fix == REPLACES else one.fix) for one in found]


def _can_switch(before: Mapping[str, Any], now: Mapping[str, Any], spec: ServerSpec) -> bool:
    if not spec.can_switch or any(before.get(name) != now[name] for name in now.keys() - _OF_AN_ENGINE):
        return False
    # Here and not above: a first serve has nothing to compare.
    from tfs_workflow.runtimes.process.switch import is_switchable  # noqa: PLC0415

    return is_switchable(dict(before["flags"]), dict(now["flags"]))


def _unrecorded(observed: ObservedServer, spec: ServerSpec) -> list[Drift]:
    """The drift of a server that was started by an older release, or from another workspace."""
    if observed.server.digest != spec.digest():
        return [_of_another_spec(observed.server, spec)]
    if observed.is_configured:
        return []
    return [Drift("configuration", "the YAML", "other models are configured, and what is served is not recorded")]


def _of_another_spec(server: ModelServer, spec: ServerSpec) -> Drift:
    return Drift("configuration", "the YAML", f"spec {server.digest} is served, {spec.digest()} is wanted")


def _unsettled(observed: ObservedServer, served: ServedRecord, same: Sequence[ModelSpec]) -> Iterator[Drift]:
    """A reload that was cut short, and a file that differs although the models are the `same`."""
    if served.is_reloading:
        yield Drift("reload", "the last reload", "it was cut short, and could not be undone")
    elif same and not observed.is_configured:
        evidence = "it is not as serve wrote it, and a restarted server would read it"
        yield Drift("configuration", MODEL_CONFIG, evidence, RELOADS, by_reload=True)


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in now:
        if name == "environment":
            yield from _moved_variables(dict(before.get(name, ())), dict(now[name]))
        elif name != "models" and before.get(name) != now[name]:
            yield _KEYS.get(name, f"server.{name}"), f"was {_shown(before.get(name))}, is {_shown(now[name])}"


def _moved_variables(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables that differ, without their values, of which one may be a password."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield (
                f"server.environment.{name}",
                "changed"
                if name in before and name in now
                else ("is not set yet" if name in now else "is not in the YAML any more"),
            )


def image_drift(runtime: Runtime, spec: ServerSpec, locked: bool) -> Iterator[Drift]:
    """Whether the image's tag has moved since it was recorded; serve follows it unless setup was `locked`."""
    now = runtime.resolve_image(spec.image)
    if now.digest and spec.image_digest and not now.is_pinned_by(spec.image_digest):
        evidence = f"names {now.digest[:19]} now, {spec.image_digest[:19]} was recorded"
        yield Drift("image", spec.image, evidence, SETUP_AND_SERVE if locked else REPLACES)


def _files(spec: ServerSpec, known: ServedRecord, statuses: Statuses | None) -> Iterator[Drift]:
    """Changed files of served versions. A version published later is not drift: the server finds it itself."""
    for model in spec.models:
        recorded = known.files.get(model.name, {})
        versions: Container[int] = {int(path.partition("/")[0]) for path in recorded}
        if statuses is not None:
            versions = {v.version for v in statuses.get(model.name, ()) if v.state.value == "AVAILABLE"}
        if lines := changed_since(Path(model.base_path), versions, recorded):
            more = f" and {len(lines) - LISTED_FILES} more" if len(lines) > LISTED_FILES else ""
            yield Drift("model files", f"models.{model.name}", ", ".join(lines[:LISTED_FILES]) + more)


def restart_event(server: ModelServer, served: ServedRecord | None) -> str:
    """That a container was restarted since `serve`, in words; empty where it was not. No drift: it is the same one."""
    if served is None or served.id != server.id or not server.image:
        return ""
    if server.started_at.isoformat() == served.started_at:
        return ""
    times = f"{server.restarts} times by the engine, " if server.restarts else ""
    return f"container {server.id[:12]} was restarted: {times}last at {server.started_at:%F %T} UTC"


def _ended(spec: ServerSpec, statuses: Statuses) -> Iterator[Drift]:
    """Versions that failed. A version that the YAML does not name any more is none: a reload has left it behind."""
    for model in spec.models:
        for version in statuses.get(model.name, ()):
            if version.has_failed and (model.latest is not None or version.version in model.versions):
                evidence = f"ended: {version.error_code}: {version.error_message}"
                fix = "fix or remove that version, then run invoke serve"
                yield Drift("version", f"models.{model.name} v{version.version}", evidence, fix)


def _plain(spec: ServerSpec) -> dict[str, Any]:
    """The spec as JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(spec), default=str))
    return plain


def _shown(value: object) -> str:
    return json.dumps(value) if value not in (None, "", []) else "not set"
