"""What failed last: kept when a start fails, found in a server that ended, and told by `doctor --after`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from tfs_workflow.errors import NotReady, WorkflowError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.state.workspace import Workspace

if TYPE_CHECKING:
    from tfs_workflow.config.load import LoadedConfig
    from tfs_workflow.health.diagnosis import Diagnosis

KEPT_LINES = 200


@dataclass(frozen=True)
class Failure:
    """One failure with what shows it; `diagnosis` is a row's name, empty where the table was not asked.

    `at` is when it was seen, in ISO 8601. `exit_code` is None where the server ran on or nobody saw it end.
    """

    what: str
    at: str
    diagnosis: str = ""
    where: str = ""
    evidence: str = ""
    fix: str = ""
    runtime: str = ""
    exit_code: int | None = None
    lines: tuple[str, ...] = ()


@dataclass
class Attempt:
    """A start; whoever makes it sets the server once there is one."""

    server: ModelServer | None = None


@contextmanager
def failure_kept(workspace: Workspace, runtime: Runtime) -> Iterator[Attempt]:
    """Keep why the block fails, with the log of the server that it started, which is about to go; success forgets."""
    attempt = Attempt()
    try:
        yield attempt
    except WorkflowError as error:
        with suppress(WorkflowError, OSError):  # what cannot be kept must not hide the error itself
            _keep(workspace, _failed_start(error, runtime, attempt.server))
        raise
    _record(workspace).unlink(missing_ok=True)


def last_failure(loaded: LoadedConfig) -> Failure | None:
    """The last failure of the project's server, if there was one.

    A server that ended or serves a model that did, else the last start that failed, else a process that is gone.
    """
    from tfs_workflow.workflow.project import runtimes_of, started_with  # noqa: PLC0415  # serve needs neither

    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        return None
    names = started_with(workspace)
    found = runtimes_of(workspace).find(loaded.config.project, names, required=names[0] if names else "")
    for runtime, server in found:
        if failure := _of_server(runtime, server, list(loaded.config.models)):
            return failure
    if kept := _kept(workspace):
        return kept
    processes = [name for name in names if name != "docker"]
    return None if found or not processes else _gone(runtimes_of(workspace).log_path, processes[0])


def last_end(runtime: Runtime, server: ModelServer) -> tuple[ModelServer, Diagnosis, str]:
    """The server as it last ended, why, and in words how often the engine restarted it; empty for never."""
    from tfs_workflow.health.diagnosis import diagnose  # noqa: PLC0415  # only where something failed

    # Observed as if none of its restarts were known yet, one that runs again has the exit code of its last end.
    ended = runtime.refresh(replace(server, restarts=0))
    restarted = f" (the engine restarted it {ended.restarts} times)" if ended.restarts else ""
    return ended, diagnose(_lines(runtime, ended), ended.exit_code, ended.out_of_memory), restarted


def _of_server(runtime: Runtime, server: ModelServer, models: Sequence[str]) -> Failure | None:
    if server.exit_code is None and not server.restarts:
        return _of_models(runtime, server, models)
    server, found, restarted = last_end(runtime, server)
    return Failure(
        f"the server ended: {found.cause}{restarted}",
        _now(),
        found.name,
        evidence=found.evidence,
        fix=found.fix,
        runtime=server.runtime,
        exit_code=server.exit_code,
        lines=_lines(runtime, server),
    )


def _of_models(runtime: Runtime, server: ModelServer, models: Sequence[str]) -> Failure | None:
    """The first version of a running server that ended with an error."""
    from tfs_workflow.client.rest_json import ServingClient  # noqa: PLC0415
    from tfs_workflow.health.diagnosis import ended_version  # noqa: PLC0415

    with suppress(WorkflowError), ServingClient(server.rest_url) as client:
        for model in models:
            for version in client.status(model):
                if version.has_failed:
                    found = ended_version(version.error_code, version.error_message)
                    what = f"version {version.version} ended: {found.cause}"
                    lines = _lines(runtime, server)
                    return Failure(
                        what, _now(), found.name, model, found.evidence, found.fix, server.runtime, lines=lines
                    )
    return None


def _gone(log: Path, runtime: str) -> Failure | None:
    """A process that was started and is not there any more."""
    from tfs_workflow.health.diagnosis import diagnose  # noqa: PLC0415

    if not log.exists():
        return None
    lines = tuple(log.read_text(errors="replace").splitlines()[-KEPT_LINES:])
    found = diagnose(lines, None)
    return Failure(found.cause, _now(), found.name, "", found.evidence, found.fix, runtime, lines=lines)


def _failed_start(error: WorkflowError, runtime: Runtime, server: ModelServer | None) -> Failure:
    diagnosis = error.diagnosis if isinstance(error, NotReady) else ""
    failure = Failure(error.what, _now(), diagnosis, error.where, error.evidence, error.fix, runtime.name)
    if server is None:
        return failure
    return replace(failure, exit_code=runtime.refresh(server).exit_code, lines=_lines(runtime, server))


def _lines(runtime: Runtime, server: ModelServer) -> tuple[str, ...]:
    return tuple(runtime.logs(server, tail=KEPT_LINES))


def _record(workspace: Workspace) -> Path:
    return workspace.run / "last-failure.json"


def _keep(workspace: Workspace, failure: Failure) -> None:
    from tfs_workflow.state.atomic_file import write_whole  # noqa: PLC0415

    write_whole(_record(workspace), json.dumps(asdict(failure), indent=1) + "\n", mode=0o600)


def _kept(workspace: Workspace) -> Failure | None:
    try:
        kept = json.loads(_record(workspace).read_text(encoding="utf-8"))
        return Failure(**kept | {"lines": tuple(kept["lines"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
