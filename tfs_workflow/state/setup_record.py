"""What setup made ready, kept in the workspace for the verbs that follow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import Config, Model
from tfs_workflow.errors import ConfigError
from tfs_workflow.state.workspace import Workspace

STATE_KEY = "prepared"


@dataclass(frozen=True)
class PreparedModel:
    """Where a model lies, the digest of its files (empty when served in place), and the sources it was asked from."""

    base_path: str
    content: str
    sources: list[Any]


@dataclass(frozen=True)
class Prepared:
    """The chosen runtime with its reason and image digest, every model, and what decided about the runtime.

    `locked` says that setup held everything to the lock file, so that no verb may follow what moves.
    """

    runtime: str
    reason: str
    image_digest: str
    models: dict[str, PreparedModel]
    asked: list[str]
    locked: bool = False

    @property
    def base_paths(self) -> dict[str, Path]:
        """Base path by model name."""
        return {name: Path(model.base_path) for name, model in self.models.items()}

    @property
    def contents(self) -> dict[str, str]:
        """Digest of the files by model name."""
        return {name: model.content for name, model in self.models.items()}


def keep(workspace: Workspace, prepared: Prepared) -> None:
    """Remember it in the workspace."""
    workspace.remember(STATE_KEY, asdict(prepared))


def prepared(workspace: Workspace | None, config: Config) -> tuple[Workspace, Prepared]:
    """The workspace and what setup made ready for this configuration; ConfigError when it must run (again) first."""
    kept = recalled(workspace) if workspace else None
    if workspace is None or kept is None:
        raise ConfigError("not set up yet", where=config.workspace, fix="invoke setup")
    for name, model in config.models.items():
        if name not in kept.models or kept.models[name].sources != source_list(model):
            raise ConfigError("the YAML changed since setup", where=f"models.{name}.source", fix="invoke setup")
    runtime = kept.runtime if config.runtime == "auto" else config.runtime
    return workspace, replace(kept, runtime=runtime, models={name: kept.models[name] for name in config.models})


def recalled(workspace: Workspace) -> Prepared | None:
    """What the last setup kept here; what another version of this tool kept counts as nothing."""
    try:
        kept = dict(workspace.recall(STATE_KEY))
        kept["models"] = {name: PreparedModel(**model) for name, model in kept["models"].items()}
        return Prepared(**kept)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def asked(config: Config) -> list[str]:
    """What decides about the runtime; while it stays, so does the choice."""
    return [config.runtime, config.server.image]


def source_list(model: Model) -> list[Any]:
    """A model's sources as plain values that compare equal after a round trip through JSON, without their secrets."""
    return [without_secrets(source.model_dump_json()) for source in model.source]


def content_digest(files: Mapping[str, str]) -> str:
    """One digest for a mapping of relative path to sha256."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]
