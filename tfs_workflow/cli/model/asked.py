"""The options that say which model is asked, in which version, and how; shared by the verbs that send requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfs_workflow.cli.command import whole_number
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError
from tfs_workflow.workflow.model.connection import GRPC, REST


@dataclass(frozen=True)
class Asked:
    """The model by name, the version by number or label, and the transport; all but the last may be empty."""

    model: str = ""
    version: str = ""
    label: str = ""
    transport: str = REST


def check_asked(asked: Asked, verb: str) -> None:
    """Raise ConfigError for values that exclude each other or mean nothing."""
    if asked.version and asked.label:
        raise ConfigError("expected a version or a label, got both", where=verb)
    if asked.version:
        whole_number(asked.version, "--version")
    check_choice("--transport", asked.transport, (REST, GRPC))


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Raise ConfigError unless the value is one of the choices."""
    if value not in choices:
        raise ConfigError(f"expected {' or '.join(choices)}, got {value!r}", where=option)


def target_of(config: Config, asked: Asked, verb: str = "predict") -> ModelRef:
    """The one model that is asked; ConfigError where the YAML has several and none is named."""
    if not asked.model and len(config.models) > 1:
        raise ConfigError(
            "the YAML has several models", where=verb, fix=f"choose one: --model {' | '.join(config.models)}"
        )
    (target,) = targets_of(config, asked)
    return target


def one_for_rows(config: Config, targets: Sequence[ModelRef], rows: str) -> None:
    """Raise ConfigError where a file of rows is given, and more than one model is asked."""
    if rows and len(targets) > 1:
        fix = f"choose one: --model {' | '.join(config.models)}"
        raise ConfigError("the rows are for one model, and the YAML has several", where="--from", fix=fix)


def targets_of(config: Config, asked: Asked) -> list[ModelRef]:
    """The model that is named, else every model of the YAML; ConfigError for a name that it has not."""
    if asked.model and asked.model not in config.models:
        names = ", ".join(config.models)
        raise ConfigError(f"the YAML has no model {asked.model!r}", where="--model", fix=f"there are: {names}")
    version = int(asked.version) if asked.version else None
    names_asked = [asked.model] if asked.model else list(config.models)
    return [ModelRef(name, version, asked.label or None) for name in names_asked]
