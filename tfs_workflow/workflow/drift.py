"""Drift: in what the running server differs from the YAML, the files and the image that it was started from."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.state.fingerprints import Stamps, changed_since, glance
from tfs_workflow.state.workspace import Workspace

if TYPE_CHECKING:  # serve starts its server before it imports the client
    from tfs_workflow.client.interface import VersionStatus

_SERVED = "served"
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
    """One difference: its kind, where it is, what was seen, and the command that mends it."""

    kind: str
    where: str
    evidence: str
    fix: str = SERVE

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.evidence}"


@dataclass(frozen=True)
class Served:
    """What `serve` remembers of the server that it started: enough to see later what moved."""

    id: str
    started_at: str
    spec: dict[str, Any]
    files: dict[str, Stamps]


def remember_served(
    workspace: Workspace, server: ModelServer, spec: ServerSpec, versions: Mapping[str, Sequence[int]]
) -> None:
    """Keep what this server was started from, once; no model file is read."""
    if (kept := served(workspace)) and kept.id == server.id:
        return
    files = {
        model.name: glance(model.base_path, versions[model.name], _fetched(workspace, model.name))
        for model in spec.models
    }
    workspace.remember(_SERVED, asdict(Served(server.id, server.started_at.isoformat(), _plain(spec), files)))


def _fetched(workspace: Workspace, model: str) -> Stamps:
    """What setup found of a model's files, digests and all (sources/__init__.py)."""
    record = workspace.recall(f"model.{model}")
    return record.get("files", {}) if isinstance(record, dict) else {}


def remember_restarted(workspace: Workspace, before: ModelServer, found: Sequence[ModelServer]) -> None:
    """Keep that it was this tool that started the server again; `found` is what runs now."""
    kept = served(workspace)
    for server in found:
        if kept and kept.id == before.id and server.exit_code is None and server.digest == before.digest:
            again = replace(kept, id=server.id, started_at=server.started_at.isoformat())
            workspace.remember(_SERVED, asdict(again))


def served(workspace: Workspace) -> Served | None:
    """What the last `serve` remembered; None where it did not, or another version of this tool did."""
    try:
        return Served(**workspace.recall(_SERVED))
    except TypeError:
        return None


def drift(
    server: ModelServer,
    spec: ServerSpec,
    kept: Served | None,
    statuses: Mapping[str, Sequence[VersionStatus]] | None,
) -> list[Drift]:
    """In what a running server differs from YAML and files; `statuses` is None when it does not answer."""
    known = kept if kept and kept.id == server.id else None
    found = configuration_drift(server, spec, known)
    if known is not None:
        found += [*_files(spec, known, statuses), *_restarted(server, known)]
    return [*found, *_ended(statuses or {})]


def configuration_drift(server: ModelServer, spec: ServerSpec, kept: Served | None) -> list[Drift]:
    """In what the server's spec differs, key by key where `serve` remembered it."""
    if server.digest == spec.digest():
        return []
    moved = list(_moved(kept.spec, _plain(spec))) if kept and kept.id == server.id else []
    unknown = [("the YAML", f"spec {server.digest} is served, {spec.digest()} is wanted")]
    return [Drift("configuration", where, evidence) for where, evidence in moved or unknown]


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in now:
        if name == "models":
            yield from _moved_models(before.get("models", []), now["models"])
        elif before.get(name) != now[name]:
            yield _KEYS.get(name, f"server.{name}"), f"was {_shown(before.get(name))}, is {_shown(now[name])}"


def _moved_models(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    old, new = ({model["name"]: model for model in models} for models in (before, now))
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"models.{name}", "is not in the YAML any more"
        elif name not in old:
            yield f"models.{name}", "is not served yet"
        elif {**old[name], "content": ""} != {**new[name], "content": ""}:
            yield f"models.{name}", "its path, versions or labels changed"
        elif old[name] != new[name]:
            yield f"models.{name}", "setup found other files since"


def image_drift(runtime: Runtime, spec: ServerSpec, locked: bool) -> Iterator[Drift]:
    """Whether the image's tag has moved since it was recorded; serve follows it unless setup was `locked`."""
    now = runtime.image_now(spec.image)
    if now.digest and spec.image_digest and not now.is_pinned_by(spec.image_digest):
        evidence = f"names {now.digest[:19]} by now, {spec.image_digest[:19]} was recorded"
        yield Drift("image", spec.image, evidence, SETUP_AND_SERVE if locked else SERVE)


def _files(spec: ServerSpec, known: Served, statuses: Mapping[str, Sequence[VersionStatus]] | None) -> Iterator[Drift]:
    """Files of served versions only: a version that is published later is the server's own to find."""
    for model in spec.models:
        stamps = known.files.get(model.name, {})
        versions: Container[int] = {int(path.partition("/")[0]) for path in stamps}
        if statuses is not None:
            versions = {v.version for v in statuses.get(model.name, ()) if v.state.value == "AVAILABLE"}
        if lines := changed_since(Path(model.base_path), versions, stamps):
            more = f" and {len(lines) - LISTED_FILES} more" if len(lines) > LISTED_FILES else ""
            yield Drift("model files", f"models.{model.name}", ", ".join(lines[:LISTED_FILES]) + more)


def _restarted(server: ModelServer, known: Served) -> Iterator[Drift]:
    if server.image and server.started_at.isoformat() != known.started_at:
        times = f"{server.restarts} times by the engine, " if server.restarts else ""
        yield Drift("restarted", f"container {server.id[:12]}", f"{times}last at {server.started_at:%F %T} UTC")


def _ended(statuses: Mapping[str, Sequence[VersionStatus]]) -> Iterator[Drift]:
    for model, versions in statuses.items():
        for version in versions:
            if version.has_failed:
                evidence = f"ended: {version.error_code}: {version.error_message}"
                fix = "mend or remove that version, then run invoke serve"
                yield Drift("version", f"models.{model} v{version.version}", evidence, fix)


def _plain(spec: ServerSpec) -> dict[str, Any]:
    """The spec as it comes back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(spec), default=str))
    return plain


def _shown(value: object) -> str:
    return json.dumps(value) if value not in (None, "", []) else "not set"
