"""Drift of models: which of them, and what of each, the running server was not configured with.

Most of it needs no other server: a reload changes models, versions and labels. The evidence names what stands in the
way of a reload, since a replacement means moments without answers (docs/decisions/0017-reload.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pydantic import TypeAdapter, ValidationError

from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec
from tfs_workflow.state.records import ServedRecord
from tfs_workflow.workflow.plan.difference import RELOADS, Drift


def recorded_models(served: ServedRecord | None) -> tuple[ModelSpec, ...] | None:
    """The models that the server was configured with; None where the record has none, or those of another release."""
    with suppress(ValidationError, AttributeError):
        return TypeAdapter(tuple[ModelSpec, ...]).validate_python(served.spec.get("models"))  # type: ignore[union-attr]
    return None


def model_drift(server: ModelServer, spec: ServerSpec, before: Sequence[ModelSpec]) -> Iterator[Drift]:
    """What differs between the models of the running server and those of the spec, by name."""
    old, new = _by_name(before), _by_name(spec.models)
    for name in sorted(old.keys() | new.keys()):
        for evidence, obstacle in _differences(server, spec, old.get(name), new.get(name)):
            yield _drift(name, evidence, obstacle)


def _drift(name: str, evidence: str, obstacle: str) -> Drift:
    if obstacle:
        return Drift("configuration", f"models.{name}", f"{evidence}; {obstacle}")
    return Drift("configuration", f"models.{name}", evidence, RELOADS, by_reload=True)


def _differences(
    server: ModelServer, spec: ServerSpec, old: ModelSpec | None, new: ModelSpec | None
) -> Iterator[tuple[str, str]]:
    """Each difference, and what keeps a reload from removing it."""
    general = _obstacle(server, spec)
    if new is None:
        yield "is not in the YAML any more", general
    elif old is None:
        yield "is not served yet", general or _mount_obstacle(spec, new)
    else:
        if old.base_path != new.base_path:
            # A server that has a version of this number does not load it again from another path.
            yield f"its path was {old.base_path}, is {new.base_path}", "loaded versions keep their files"
        if spec.has_own_mount(new) and old.links != new.links:
            yield "its versions are links to other directories now", _mount_obstacle(spec, new)
        if (old.latest, old.versions) != (new.latest, new.versions):
            yield f"its versions were {_policy(old)}, are {_policy(new)}", general
        if old.labels != new.labels:
            yield f"its labels were {_labels(old)}, are {_labels(new)}", general
        if server.reads_copies and old.content != new.content:
            yield "setup found other files since", general


def _obstacle(server: ModelServer, spec: ServerSpec) -> str:
    if not spec.can_reload:
        return "a flag in server.flags keeps the server from a reload"
    return "the server reads copies on another machine" if server.reads_copies else ""


def _mount_obstacle(spec: ServerSpec, model: ModelSpec) -> str:
    if not spec.has_own_mount(model):
        return ""
    return "it lies outside the workspace, and only a new container can mount it"


def _policy(model: ModelSpec) -> str:
    if model.latest is None:
        return str(list(model.versions))
    return f"the latest {model.latest}" if model.latest else "all"


def _labels(model: ModelSpec) -> str:
    return ", ".join(f"{label} = {version}" for label, version in model.labels) or "none"


def _by_name(models: Sequence[ModelSpec]) -> Mapping[str, ModelSpec]:
    return {model.name: model for model in models}
