"""Drift: the differences of the running server from the YAML, the files and the image that it was started from.

A running server and the YAML are compared in three ways, from certain to detailed. The digest of the spec shows whether
anything differs. The record of `serve` shows what differs, key by key, if it is that server's record. The fingerprints
show whether files of a served version have changed, without reading those whose size and time are the same.

Not every difference is drift. A version that was added later is served by itself, and a changed file of a version that
is not loaded has no effect.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.state.fingerprints import changed_since, fingerprints_unread
from tfs_workflow.state.records import FetchRecord, ServedRecord

if TYPE_CHECKING:  # serve starts its server before it imports the client
    from tfs_workflow.client.interface import VersionStatus

SERVE = "run invoke serve"
SETUP_AND_SERVE = "run invoke setup serve"
LISTED_FILES = 3
# Where a field of the spec comes from in the YAML, unless it is the key of the same name below `server`.
_KEYS = {
    "project": "project",
    "runtime": "runtime",
    "image_digest": "the image that setup recorded",
    "binary": "server.native_binary",
    "memory_bytes": "server.memory",
}


@dataclass(frozen=True)
class Drift:
    """One difference: its kind, where it is, the evidence, and the command that removes it."""

    kind: str
    where: str
    evidence: str
    fix: str = SERVE

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.evidence}"


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
            fetched[model.name].files if model.name in fetched else {},
        )
        for model in spec.models
    }
    return ServedRecord(server.id, server.started_at.isoformat(), _plain(spec), files)


def drift(
    server: ModelServer,
    spec: ServerSpec,
    served: ServedRecord | None,
    statuses: Mapping[str, Sequence[VersionStatus]] | None,
) -> list[Drift]:
    """The differences of a running server from YAML and files; `statuses` is None when it does not answer."""
    # The record of another server would name its files, and report their differences as this one's.
    known = served if served and served.id == server.id else None
    found = configuration_drift(server, spec, known)
    if known is not None:
        found += _files(spec, known, statuses)
    return [*found, *_ended(statuses or {})]


def server_drift(
    server: ModelServer,
    spec: ServerSpec,
    served: ServedRecord | None,
    statuses: Mapping[str, Sequence[VersionStatus]] | None,
) -> list[Drift]:
    """Why serve must replace a running server; files and versions count only where the spec is the wanted one."""
    if server.digest != spec.digest():
        return configuration_drift(server, spec, served)
    return drift(server, spec, served, statuses)


def configuration_drift(server: ModelServer, spec: ServerSpec, served: ServedRecord | None) -> list[Drift]:
    """The differences of the server's spec, key by key where `serve` recorded it."""
    if server.digest == spec.digest():
        return []
    moved = list(_moved(served.spec, _plain(spec))) if served and served.id == server.id else []
    unknown = [("the YAML", f"spec {server.digest} is served, {spec.digest()} is wanted")]
    return [Drift("configuration", where, evidence) for where, evidence in moved or unknown]


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in now:
        if name == "models":
            yield from _moved_models(before.get("models", []), now["models"])
        elif name == "environment":
            yield from _moved_variables(dict(before.get(name, ())), dict(now[name]))
        elif before.get(name) != now[name]:
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


def _moved_models(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    old, new = ({model["name"]: model for model in models} for models in (before, now))
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"models.{name}", "is not in the YAML any more"
        elif name not in old:
            yield f"models.{name}", "is not served yet"
        # Changed files have a message of their own, since the cure is another.
        elif {**old[name], "content": ""} != {**new[name], "content": ""}:
            yield f"models.{name}", "its path, versions or labels changed"
        elif old[name] != new[name]:
            yield f"models.{name}", "setup found other files since"


def image_drift(runtime: Runtime, spec: ServerSpec, locked: bool) -> Iterator[Drift]:
    """Whether the image's tag has moved since it was recorded; serve follows it unless setup was `locked`."""
    now = runtime.resolve_image(spec.image)
    if now.digest and spec.image_digest and not now.is_pinned_by(spec.image_digest):
        evidence = f"names {now.digest[:19]} now, {spec.image_digest[:19]} was recorded"
        yield Drift("image", spec.image, evidence, SETUP_AND_SERVE if locked else SERVE)


def _files(
    spec: ServerSpec, known: ServedRecord, statuses: Mapping[str, Sequence[VersionStatus]] | None
) -> Iterator[Drift]:
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


def _ended(statuses: Mapping[str, Sequence[VersionStatus]]) -> Iterator[Drift]:
    for model, versions in statuses.items():
        for version in versions:
            if version.has_failed:
                evidence = f"ended: {version.error_code}: {version.error_message}"
                fix = "fix or remove that version, then run invoke serve"
                yield Drift("version", f"models.{model} v{version.version}", evidence, fix)


def _plain(spec: ServerSpec) -> dict[str, Any]:
    """The spec as JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(spec), default=str))
    return plain


def _shown(value: object) -> str:
    return json.dumps(value) if value not in (None, "", []) else "not set"
