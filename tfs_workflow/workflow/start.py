"""serve: observe what runs, plan, execute the plan, and wait until every wanted version is AVAILABLE.

`serve` may be run at any time: it is a no-op when the wanted server runs. Otherwise it reloads the configuration of the
running server where that is enough, has it load another engine where it can, and replaces it where it is not. To decide
that, what runs is observed first and compared with what is wanted; the plan that results is data (plan.py), and only
the execution has effects (execution.py). `serve --dry-run` is the same without the last step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.setup_record import SetupRequiredError
from tfs_workflow.workflow.failures import last_end
from tfs_workflow.workflow.image_pin import follow_moved_tag, with_moved_tag
from tfs_workflow.workflow.plan.difference import Drift
from tfs_workflow.workflow.plan.execution import Execution
from tfs_workflow.workflow.plan.observation import Statuses, observe
from tfs_workflow.workflow.plan.plan import PlannedAction, ServerPlan, plan_server
from tfs_workflow.workflow.project import Project, WantedServer, locked_project, open_project


@dataclass(frozen=True)
class Served:
    """A server with the status of every model; `unchanged` when it ran already.

    `models` maps each model to the status of its versions. `replaced`, `reloaded` and `switched` hold the reasons why a
    running one was replaced, reloaded, or has another engine. `gap_s` are the seconds without answers of a replacement,
    None without one.
    """

    server: ModelServer
    models: Statuses
    unchanged: bool = False
    replaced: tuple[Drift, ...] = ()
    reloaded: tuple[Drift, ...] = ()
    switched: tuple[Drift, ...] = ()
    gap_s: float | None = None


def start(loaded: LoadedConfig, context: TransferContext) -> Served:
    """Start the server, reload it, or leave one without drift; wait until every wanted version is AVAILABLE.

    While the models load, `context.progress` is called with seconds, not with bytes.
    Raises what the checks, the runtime and the wait raise; then nothing that was started here is left, and a server
    that ran before runs again.
    """
    with locked_project(loaded, context) as project:
        follow_moved_tag(project, context)
        wanted = project.wanted()
        plan = _plan(project, wanted)
        execution = Execution(
            project.runtimes, project.session, project.ready_timeout_s, context.progress, context.notify
        )
        done = execution.serve(plan, wanted.spec, wanted.versions)
    reasons = dict.fromkeys(PlannedAction, ()) | {done.action: plan.reasons}
    return Served(
        done.server,
        done.models,
        unchanged=done.action is PlannedAction.KEEP,
        replaced=reasons[PlannedAction.REPLACE],
        reloaded=reasons[PlannedAction.RELOAD],
        switched=reasons[PlannedAction.SWITCH],
        gap_s=done.gap_s,
    )


def start_after_setup(
    starting: Callable[[], Served], setting_up: Callable[[], object], notify: Callable[[str], None]
) -> Served:
    """Start the server; where that needs a set-up first, set up and start again."""
    try:
        return starting()
    except SetupRequiredError as error:
        notify(f"{error.what}: setup comes first")
    setting_up()
    return starting()


def plan_serve(loaded: LoadedConfig) -> ServerPlan:
    """What `start` would do now; changes nothing, takes no lock, and raises what the checks and the runtime raise."""
    project = open_project(loaded)
    project.record = with_moved_tag(project.record, project.image, project.runtime)
    return _plan(project, project.wanted())


def _plan(project: Project, wanted: WantedServer) -> ServerPlan:
    """Observe what runs, and compare it with what is wanted."""
    state, spec = project.session.state, wanted.spec
    names = tuple({*state.started, spec.runtime})
    observed = observe(project.runtimes, spec.project, names, spec.runtime, spec=spec, served=state.served)
    return plan_server(spec, observed, state.served)


def raise_ended(runtime: Runtime, server: ModelServer) -> None:
    """Raise ServerNotReadyError with the diagnosis of a server that ended by itself, once or in a loop."""
    _, found, restarted = last_end(runtime, server)
    raise found.error(f"the server ended{restarted}: {found.cause}")
