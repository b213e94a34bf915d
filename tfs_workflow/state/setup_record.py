"""What setup prepared, and whether it still fits the YAML.

Later verbs must serve what setup checked, not what the YAML names now. The record holds the results of setup together
with the values that they depend on, so that a later verb can decide by comparing alone whether setup must run again.
Secrets in addresses are left out before they are compared or stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import Config, Model
from tfs_workflow.errors import ConfigError


class SetupRequiredError(ConfigError):
    """Setup must run first, or once more."""


@dataclass(frozen=True)
class ModelRecord:
    """Where a model's files are, the digest of these files, and the sources that the YAML gave for it."""

    base_path: str
    content: str
    sources: list[Any]


@dataclass(frozen=True)
class SetupRecord:
    """The chosen runtime with its reason and image digest, every model, and the YAML's values behind the choice.

    `locked` is true after `setup --locked`: then no verb follows an image tag that moved. `without_engine` is true
    where the choice fell back since no engine answered. `processors` is the number of the machine that serves, 0 in
    records of older releases.
    """

    runtime: str
    reason: str
    image_digest: str
    models: dict[str, ModelRecord]
    runtime_inputs: list[str]
    locked: bool = False
    without_engine: bool = False
    processors: int = 0

    @property
    def base_paths(self) -> dict[str, Path]:
        """Base path by model name."""
        return {name: Path(model.base_path) for name, model in self.models.items()}

    @property
    def contents(self) -> dict[str, str]:
        """Digest of the files by model name."""
        return {name: model.content for name, model in self.models.items()}


def require_setup(record: SetupRecord | None, config: Config) -> SetupRecord:
    """The record, reduced to the models of this YAML; ConfigError when setup must run (again) first."""
    if record is None:
        raise not_set_up(config)
    for name, model in config.models.items():
        if name not in record.models or record.models[name].sources != source_list(model):
            raise SetupRequiredError("the YAML changed since setup", where=f"models.{name}.source", fix="invoke setup")
    # A runtime that the YAML names by itself needs no choice of setup.
    runtime = record.runtime if config.runtime == "auto" else config.runtime
    return replace(record, runtime=runtime, models={name: record.models[name] for name in config.models})


def not_set_up(config: Config) -> SetupRequiredError:
    """The error of every verb that needs what setup prepares."""
    return SetupRequiredError("not set up yet", where=config.workspace, fix="invoke setup")


def runtime_inputs(config: Config) -> list[str]:
    """The YAML's values that the choice of the runtime depends on; the choice holds until one of them changes."""
    return [config.runtime, config.server.image, *config.server.own_keys]


def source_list(model: Model) -> list[Any]:
    """A model's sources as plain values that compare equal after a round trip through JSON, without their secrets."""
    return [without_secrets(source.model_dump_json()) for source in model.source]


def content_digest(files: Mapping[str, str]) -> str:
    """One digest for a mapping of relative path to sha256."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]
