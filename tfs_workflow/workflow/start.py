"""serve: observe what runs, plan, execute the plan, and wait until every wanted version is AVAILABLE.

`serve` may be run at any time: it is a no-op when the wanted server runs, and otherwise replaces what is there. To
decide that, what runs is observed first and compared with what is wanted; the plan that results is data (plan.py), and
only the execution has effects (execution.py). `serve --dry-run` is the same without the last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfs_workflow.checks import check_models
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.project_state import ProjectState, open_state, read_state
from tfs_workflow.state.setup_record import SetupRecord, require_setup
from tfs_workflow.workflow.failures import last_end
from tfs_workflow.workflow.image_pin import follow_moved_tag, with_moved_tag
from tfs_workflow.workflow.plan.drift import Drift
from tfs_workflow.workflow.plan.execution import Execution
from tfs_workflow.workflow.plan.observation import Statuses, observe
from tfs_workflow.workflow.plan.plan import PlannedAction, ServerPlan, plan_server
from tfs_workflow.workflow.project import (
    notify_wait,
    require_engine_in_reach,
    require_workspace,
    runtimes_of,
    server_spec,
)


@dataclass(frozen=True)
class Served:
    """A server with the status of every model; `unchanged` when it ran already.

    `replaced` holds the reasons why a running one was replaced.

    `models` maps each model to the status of its versions.
    """

    server: ModelServer
    models: Statuses
    unchanged: bool = False
    replaced: tuple[Drift, ...] = ()


def start(loaded: LoadedConfig, context: TransferContext) -> Served:
    """Start the server unless the very same one runs without drift, and wait until every wanted version is AVAILABLE.

    While the models load, `context.progress` is called with seconds, not with bytes.
    Raises what the checks, the runtime and the wait raise; then nothing that was started here is left, and a server
    that ran before runs again.
    """
    config, workspace = loaded.config, require_workspace(loaded)
    with workspace.exclusive(notify_wait(context)), open_state(workspace) as session:
        record = _required(session.state, config)
        runtimes = runtimes_of(workspace)
        record = follow_moved_tag(loaded, session, record, runtimes.get(record.runtime), context)
        spec, wanted = _wanted(config, record)
        plan = _plan(spec, runtimes, session.state)
        execution = Execution(runtimes, session, config.server.ready_timeout_s, context.progress)
        server, statuses = execution.serve(plan, spec, wanted)
    return Served(server, statuses, plan.action is PlannedAction.KEEP, plan.reasons)


def plan_serve(loaded: LoadedConfig) -> ServerPlan:
    """What `start` would do now; changes nothing, takes no lock, and raises what the checks and the runtime raise."""
    config, workspace = loaded.config, require_workspace(loaded)
    state = read_state(workspace)
    record = _required(state, config)
    runtimes = runtimes_of(workspace)
    record = with_moved_tag(record, config.server.image, runtimes.get(record.runtime))
    spec, _ = _wanted(config, record)
    return _plan(spec, runtimes, state)


def _required(state: ProjectState, config: Config) -> SetupRecord:
    """What setup recorded; ConfigError when it must run first, ToolMissingError when the engine is out of reach."""
    record = require_setup(state.setup, config)
    if runtime_kind(record.runtime).is_container:
        require_engine_in_reach(config)
    return record


def _wanted(config: Config, record: SetupRecord) -> tuple[ServerSpec, Mapping[str, list[int]]]:
    """The spec to serve, and the versions that must become AVAILABLE; InvalidModelError when one cannot be served."""
    spec = server_spec(config, record)
    return spec, check_models(spec, runtime_kind(record.runtime).reader())


def _plan(spec: ServerSpec, runtimes: Runtimes, state: ProjectState) -> ServerPlan:
    names = tuple({*state.started, spec.runtime})
    return plan_server(spec, observe(runtimes, spec.project, names, spec.runtime, spec), state.served)


def raise_ended(runtime: Runtime, server: ModelServer) -> None:
    """Raise ServerNotReadyError with the diagnosis of a server that ended by itself, once or in a loop."""
    _, found, restarted = last_end(runtime, server)
    raise found.error(f"the server ended{restarted}: {found.cause}")
