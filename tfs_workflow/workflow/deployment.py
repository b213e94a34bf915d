"""What another supervisor needs to run the project's server: a Compose file or a systemd unit.

The verbs start a server for a developer, who stops it again. On a machine that serves for months, Compose or systemd
starts it at boot and restarts it, and this tool need not run there. Both files are made from the spec that `serve`
uses, so that they serve the same.
"""

from __future__ import annotations

import os
from dataclasses import replace

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.kinds import FALLBACK, PREFERRED, runtime_kind
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.setup_record import SetupRecord, require_setup
from tfs_workflow.state.workspace import Workspace
from tfs_workflow.workflow.project import require_workspace, server_spec

_HEADER = "# Server of {project}, exported from {path}.\n# {next}\n"


def compose_text(loaded: LoadedConfig) -> str:
    """A Compose file for the docker runtime, whichever runtime setup chose; raises SetupRequiredError before setup."""
    import yaml  # noqa: PLC0415  # only here is one written

    from tfs_workflow.runtimes.docker.compose import compose_document  # noqa: PLC0415  # docker-py only where needed

    workspace, record = _prepared(loaded)
    spec = server_spec(loaded.config, replace(record, runtime=PREFERRED.name), workspace)
    document = compose_document(spec, os.getuid(), os.getgid())
    return _header(loaded, "docker compose -f FILE up --detach") + yaml.safe_dump(document, sort_keys=False, width=120)


def systemd_text(loaded: LoadedConfig) -> str:
    """A unit for the native server where setup chose it, else for the embedded one.

    Raises SetupRequiredError before setup, ConfigError for a port that is not fixed, ToolMissingError where this
    machine lacks the server.
    """
    from tfs_workflow.runtimes.process.process_runtime import server_command  # noqa: PLC0415
    from tfs_workflow.runtimes.systemd_unit import systemd_unit  # noqa: PLC0415

    for key in ("rest_port", "grpc_port"):
        if getattr(loaded.config.server, key) == "auto":
            fix = f"a number in the YAML, or the variable TFS_SERVER__{key.upper()}"
            raise ConfigError("a unit needs a fixed port, not auto", where=f"server.{key}", fix=fix)
    workspace, record = _prepared(loaded)
    kind = runtime_kind(record.runtime)
    name = FALLBACK.name if kind.is_container else kind.name
    spec = server_spec(loaded.config, replace(record, runtime=name), workspace)
    unit = systemd_unit(spec, server_command(spec), os.getuid())
    return _header(loaded, "systemd-analyze verify FILE; systemctl enable --now FILE") + unit


def _prepared(loaded: LoadedConfig) -> tuple[Workspace, SetupRecord]:
    workspace = require_workspace(loaded)
    return workspace, require_setup(read_state(workspace).setup, loaded.config)


def _header(loaded: LoadedConfig, next_step: str) -> str:
    return _HEADER.format(project=loaded.config.project, path=loaded.path, next=next_step)
