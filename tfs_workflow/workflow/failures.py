"""The last failure, for `doctor --after`: recorded when a start fails, or found in a server that ended.

A start that fails removes its server, and with it the log. So the evidence is copied into the state before the removal:
`doctor --after` can then explain a failure that left nothing behind. A server that ended later is still there, and a
process that is gone has left its log; these are read when they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from tfs_workflow.errors import ServerNotReadyError, WorkflowError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.state.project_state import StateSession, read_state
from tfs_workflow.state.records import FailureRecord
from tfs_workflow.state.workspace import Workspace

if TYPE_CHECKING:
    from tfs_workflow.config.load import LoadedConfig
    from tfs_workflow.health.diagnosis import Diagnosis

# Enough for a traceback of TensorFlow and the lines before it, and a bound for the state file.
RECORDED_LINES = 200


@dataclass
class Attempt:
    """A start; the caller sets the server once there is one."""

    server: ModelServer | None = None


@contextmanager
def recording_failure(session: StateSession, runtime: Runtime) -> Iterator[Attempt]:
    """Record why the block fails, with the log of the server that it started and that is about to be removed.

    Must be the innermost context of a start, so that it runs before those that remove the server.
    """
    # Filled in by the block: the server does not exist yet.
    attempt = Attempt()
    try:
        yield attempt
    except WorkflowError as error:
        with suppress(WorkflowError, OSError):  # a log that cannot be read must not hide the error itself
            session.change(failure=_failed_start(error, runtime, attempt.server))
        raise


def explained(error: ServerNotReadyError, lines: Sequence[str], project: str) -> ServerNotReadyError:
    """The error of another engine that did not come up, with the cause that its log lines show."""
    from tfs_workflow.health.diagnosis import diagnose  # noqa: PLC0415  # only where something failed

    found = diagnose(lines, 1)
    return found.error(f"{error.what}: {found.cause}; the former one serves on", project)


def last_failure(loaded: LoadedConfig) -> FailureRecord | None:
    """The last failure of the project's server, if there was one.

    A server that ended or serves a model that did, else the last start that failed, else a process that is gone.
    """
    from tfs_workflow.workflow.project import runtimes_of  # noqa: PLC0415  # serve does not need it

    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        return None
    state, runtimes = read_state(workspace), runtimes_of(workspace)
    found = runtimes.find(loaded.config.project, state.started, required="".join(state.started[:1]))
    for runtime, server in found:
        if failure := _of_server(runtime, server, list(loaded.config.models)):
            return failure
    # After the servers: one that is there has more recent evidence.
    if state.failure:
        return state.failure
    processes = [name for name in state.started if not runtime_kind(name).is_container]
    return None if found or not processes else _gone(runtimes.log_path, processes[0])


def last_end(runtime: Runtime, server: ModelServer) -> tuple[ModelServer, Diagnosis, str]:
    """The server as it last ended, its diagnosis, and the number of restarts in words; empty for none."""
    from tfs_workflow.health.diagnosis import diagnose  # noqa: PLC0415  # only where something failed

    # With restarts set to 0, a container that runs again is reported with the exit code of its last end.
    ended = runtime.refresh(replace(server, restarts=0))
    restarted = f" (the engine restarted it {ended.restarts} times)" if ended.restarts else ""
    return ended, diagnose(_lines(runtime, ended), ended.exit_code, ended.out_of_memory), restarted


def _of_server(runtime: Runtime, server: ModelServer, models: Sequence[str]) -> FailureRecord | None:
    if server.exit_code is None and not server.restarts:
        return _of_models(runtime, server, models)
    server, found, restarted = last_end(runtime, server)
    return FailureRecord(
        f"the server ended: {found.cause}{restarted}",
        _now(),
        found.name,
        evidence=found.evidence,
        fix=found.fix,
        runtime=server.runtime,
        exit_code=server.exit_code,
        lines=_lines(runtime, server),
    )


def _of_models(runtime: Runtime, server: ModelServer, models: Sequence[str]) -> FailureRecord | None:
    """The first version of a running server that ended with an error."""
    from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415
    from tfs_workflow.health.diagnosis import ended_version  # noqa: PLC0415

    with suppress(WorkflowError), RestJsonClient(server.rest_url, credentials=server.credentials()) as client:
        for model in models:
            for version in client.status(model):
                if version.has_failed:
                    found = ended_version(version.error_code, version.error_message)
                    what = f"version {version.version} ended: {found.cause}"
                    lines = _lines(runtime, server)
                    return FailureRecord(
                        what, _now(), found.name, model, found.evidence, found.fix, server.runtime, lines=lines
                    )
    return None


def _gone(log: Path, runtime: str) -> FailureRecord | None:
    """A process that was started and is not there any more."""
    from tfs_workflow.health.diagnosis import diagnose  # noqa: PLC0415

    if not log.exists():
        return None
    lines = tuple(log.read_text(errors="replace").splitlines()[-RECORDED_LINES:])
    found = diagnose(lines, None)
    return FailureRecord(found.cause, _now(), found.name, "", found.evidence, found.fix, runtime, lines=lines)


def _failed_start(error: WorkflowError, runtime: Runtime, server: ModelServer | None) -> FailureRecord:
    diagnosis = error.diagnosis if isinstance(error, ServerNotReadyError) else ""
    failure = FailureRecord(error.what, _now(), diagnosis, error.where, error.evidence, error.fix, runtime.name)
    if server is None:
        return failure
    return replace(failure, exit_code=runtime.refresh(server).exit_code, lines=_lines(runtime, server))


def _lines(runtime: Runtime, server: ModelServer) -> tuple[str, ...]:
    return tuple(runtime.logs(server, tail=RECORDED_LINES))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
