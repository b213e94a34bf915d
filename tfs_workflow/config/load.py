"""Loads the YAML file, then the environment's values, then the options'; reports every error at once.

A user who mends one error and is then shown the next needs a run for each. So every step collects problems instead of
raising, and one ConfigError at the end lists all of them in the order of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tfs_workflow.config.environment import CONFIG_VARIABLE, apply_environment, apply_options, foreign_variables
from tfs_workflow.config.implied_path import implied_path, plain_name
from tfs_workflow.config.problems import problems
from tfs_workflow.config.types import Config, Tls
from tfs_workflow.config.yaml_reader import Document, Problem, read_file
from tfs_workflow.errors import ConfigError

DEFAULT_PATHS = ("config/tfs.yaml", "tfs.yaml")


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration with the file it came from and the variables that changed it.

    `foreign` holds the TFS_ variables that name no key, each with the one that was probably meant.
    """

    path: Path
    config: Config
    overrides: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def workspace(self) -> Path:
        """The workspace's directory; a relative one is relative to the YAML file."""
        path = self.path.parent / Path(self.config.workspace).expanduser()
        return Path(os.path.abspath(path))  # noqa: PTH100  # keeps links


def load(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    options: Mapping[str, Any] | None = None,
) -> LoadedConfig:
    """The configuration of a YAML file, with the environment's values above it and the options' above these.

    Without a path, TFS_CONFIG names the file, else it is config/tfs.yaml or tfs.yaml, else the one that the last
    `serve PATH` here implied. `options` goes from key path (server.image) to value. Raises one ConfigError that names
    everything that is wrong, a line each.
    """
    chosen = Path(path or environ.get(CONFIG_VARIABLE) or default_path())
    document = read_file(chosen)
    overrides = apply_environment(document, Config, environ)
    apply_options(document, options or {})
    # After the overrides, which may name the project.
    _named_after_its_directory(document, chosen)
    config = _with_absolute_paths(_validated(document), chosen.parent)
    return LoadedConfig(chosen, config, tuple(overrides), tuple(foreign_variables(Config, environ)))


def has_own_yaml(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether TFS_CONFIG names a YAML, or the working directory has one."""
    return bool(environ.get(CONFIG_VARIABLE) or _own_path())


def default_path() -> str:
    """The YAML of the working directory; without one, that of the path which was last served from here."""
    own = _own_path()
    implied = implied_path(Path.cwd())
    return own or (str(implied) if implied.exists() else DEFAULT_PATHS[0])


def _own_path() -> str:
    return next((path for path in DEFAULT_PATHS if Path(path).exists()), "")


def _named_after_its_directory(document: Document, path: Path) -> None:
    """Give a project without a name that of the directory in which its YAML lies."""
    if isinstance(document.value, dict) and "project" not in document.value:
        directory = path.absolute().parent
        document.value["project"] = plain_name((directory.parent if directory.name == "config" else directory).name)


def _validated(document: Document) -> Config:
    found = list(document.problems)
    try:
        if document.value is None and not found:
            raise ConfigError(
                "an empty file", where=str(document.source), fix="invoke config.init makes a commented one"
            )
        config = Config.model_validate(document.value)
    except ValidationError as error:
        found += problems(error, Config, document) if document.value is not None else []
    if found:
        raise ConfigError("\n".join(_in_order(found, document.source)))
    return config


def _with_absolute_paths(config: Config, directory: Path) -> Config:
    """The configuration with the paths of certificate, key, token and golden cases as any directory needs them."""
    server = config.server
    tls = server.tls and Tls(**{name: _absolute(directory, path) for name, path in server.tls.model_dump().items()})
    token_file = server.token_file and _absolute(directory, server.token_file)
    models = {
        name: model.model_copy(update={"golden": _absolute(directory, model.golden)}) if model.golden else model
        for name, model in config.models.items()
    }
    changed = server.model_copy(update={"tls": tls, "token_file": token_file})
    return config.model_copy(update={"server": changed, "models": models})


def _absolute(directory: Path, path: str) -> str:
    return os.path.abspath(directory / Path(path).expanduser())  # noqa: PTH100  # keeps links


def _in_order(found: list[Problem], source: str) -> list[str]:
    """The problems as lines: the file's first, from top to bottom."""
    # The same place may be reported twice, by a merge or an alias; dict.fromkeys keeps one.
    ordered = sorted(found, key=lambda p: (p.place.source != source, p.place.line, p.place.column))
    return list(dict.fromkeys(map(str, ordered)))
