"""Executes a plan: the one place where serve and teardown start, reload, replace and stop servers.

A start either succeeds or leaves things as they were. What replaces a server is tried beside it first, where the
runtime can. Then the running server is stopped but not yet removed while its successor starts; any error or interrupt
removes whatever the start created, restarts the old server and waits for it. That restart is recorded, so that the next
`status` does not report it as drift. Before a server is started, the state file names its runtime: after a `kill -9` in
between, `teardown` still finds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tfs_workflow.errors import ConfigError, ServerNotReadyError, WorkflowError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import MODEL_CONFIG, ServerSpec
from tfs_workflow.sources.transfer import Progress
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.state.records import ServedRecord
from tfs_workflow.workflow.failures import explained, recording_failure
from tfs_workflow.workflow.plan.drift import records_versions, served_again, served_record
from tfs_workflow.workflow.plan.model_drift import recorded_models
from tfs_workflow.workflow.plan.observation import Statuses
from tfs_workflow.workflow.plan.plan import PlannedAction, ServerPlan
from tfs_workflow.workflow.plan.reload_steps import Change, Versions, texts
from tfs_workflow.workflow.plan.watched_server import ReloadedServer, WatchedServer

if TYPE_CHECKING:
    from tfs_workflow.workflow.plan.reload import Reload

# After an interrupt, whose clean-up has 10 s (cli/signals.py).
INTERRUPTED_WAIT_S = 5.0


@dataclass(frozen=True)
class Executed:
    """The server that serves now, what was done for it, and the status of its models.

    `gap_s` are the seconds from the stop of the former server until this one was AVAILABLE; None where none stopped.
    """

    action: PlannedAction
    server: ModelServer
    models: Statuses
    gap_s: float | None = None


@dataclass(frozen=True)
class Execution:
    """Executes server plans with these runtimes; the session's state is written by whoever opened it.

    `progress` is called while the models load, with a label and the seconds waited and allowed.
    """

    runtimes: Runtimes
    session: StateSession
    ready_timeout_s: float
    progress: Progress | None = None
    notify: Callable[[str], None] = lambda text: None  # noqa: ARG005

    def serve(self, plan: ServerPlan, spec: ServerSpec, wanted: Versions) -> Executed:
        """Execute the plan, and wait until every wanted version is AVAILABLE.

        Raises what the runtime and the wait raise; then a server that ran before serves again as before.
        """
        # They have ended, and a container's name must be free for the next one.
        stop_servers(self.runtimes, plan.ended, timeout_s=0)
        if plan.action is PlannedAction.SWITCH and (switched := self._switch(plan.running[0], spec, wanted)):
            return switched
        if plan.action not in (PlannedAction.KEEP, PlannedAction.RELOAD):
            return self._start(plan, spec, wanted)
        (server,) = plan.running
        self._claim(server.runtime)
        if plan.action is PlannedAction.RELOAD:
            return Executed(plan.action, server, self._reload(server, spec, wanted))
        statuses = self._wait(self.runtimes.get(server.runtime), server, wanted)
        self._record(server, spec, wanted)
        return Executed(plan.action, server, statuses)

    def _start(self, plan: ServerPlan, spec: ServerSpec, wanted: Versions) -> Executed:
        self._claim(plan.runtime)
        self.session.write()
        runtime = self.runtimes.get(plan.runtime)
        if plan.running:
            self._try_out(runtime, spec, wanted)
        serving = self._serving(plan.running, spec)
        # What ran before is spared; everything else of the project came from this start, whole or half.
        removal = _removed_on_failure(runtime, plan.project, {server.id for server in plan.running})
        recording = recording_failure(self.session, runtime)
        stopped_s = time.monotonic()
        with self._replacing_with_rollback(plan.running, serving), removal, recording as attempt:
            attempt.server = server = runtime.start(_with_kept_ports(spec, plan.running))
            statuses = self._wait(runtime, server, wanted)
            gap_s = time.monotonic() - stopped_s
            self._record(server, spec, wanted)
            self.session.change(failure=None)
            self.session.write()  # within the roll-back: a server that cannot be recorded is not left running
        if not plan.running:
            return Executed(PlannedAction.START, server, statuses)
        return Executed(PlannedAction.REPLACE, server, statuses, gap_s)

    def _switch(self, server: ModelServer, spec: ServerSpec, wanted: Versions) -> Executed | None:
        """Have the server load another engine; None where it cannot, or serves nothing that could be lost."""
        runtime, record = self.runtimes.get(server.runtime), self.session.state.served
        if record is None or not any(self._serving([server], spec).values()):
            return None
        self.session.change(served=replace(record, is_reloading=True))
        self.session.write()
        watched = ReloadedServer(runtime, server)
        with recording_failure(self.session, runtime) as attempt:
            attempt.server = server
            try:
                switched = runtime.switch(server, spec, self.ready_timeout_s)
            except ServerNotReadyError as error:
                self.session.change(served=record)
                raise explained(error, watched.lines(), server.project) from error
            if switched is None:
                return None
            statuses = self._wait(runtime, switched, wanted)
        now = served_record(switched, spec, wanted, self.session.state.fetched)
        now = replace(now, started_at=record.started_at, digest=switched.digest)
        self.session.change(served=now, failure=None)
        return Executed(PlannedAction.SWITCH, switched, statuses)

    def _try_out(self, runtime: Runtime, spec: ServerSpec, wanted: Versions) -> None:
        """Raise where a server of the spec does not become AVAILABLE beside the running one."""
        with ExitStack() as stack:
            trial = stack.enter_context(runtime.trial(spec))
            if trial is None:
                return
            try:
                stack.enter_context(recording_failure(self.session, runtime)).server = trial
                self._wait(runtime, trial, wanted)
            except WorkflowError as error:
                error.what += "; the former server was not stopped"
                raise

    def _reload(self, server: ModelServer, spec: ServerSpec, wanted: Versions) -> Statuses:
        runtime, record = self.runtimes.get(server.runtime), self.session.state.served
        before = recorded_models(record)
        if record is None or before is None:  # the plan reloads only what is recorded
            raise ServerNotReadyError("what the server serves is not recorded", where=server.project)
        change = Change(before, spec, self._serving([server], spec), wanted)
        # Written before the first call: after a kill in between, it is uncertain what the server took.
        self.session.change(served=replace(record, is_reloading=True))
        self.session.write()
        with recording_failure(self.session, runtime) as attempt:
            attempt.server = server
            path = self.runtimes.config_dir / MODEL_CONFIG
            statuses = self._reload_of(server, change, record).run(texts(change, runtime.model_config, path), change)
        now = served_record(server, spec, wanted, self.session.state.fetched)
        self.session.change(served=served_again(record, now), failure=None)
        return statuses

    def _reload_of(self, server: ModelServer, change: Change, record: ServedRecord) -> Reload:
        """The reload with what it needs of us: the wait, and the ways back."""
        # Here and not above: it imports the client, and most runs reload nothing.
        from tfs_workflow.workflow.plan.reload import Reload  # noqa: PLC0415

        runtime = self.runtimes.get(server.runtime)
        former, watched = replace(change.after, models=tuple(change.before)), ReloadedServer(runtime, server)
        return Reload(
            server,
            self.runtimes.config_dir / MODEL_CONFIG,
            self.ready_timeout_s,
            former=runtime.model_config(former),
            wait=lambda versions: self._wait_for(watched, versions, self.ready_timeout_s),
            start_again=lambda: self._start_again(server, former, change.serving, record),
            undone=lambda: self.session.change(served=replace(self.session.state.served or record, is_reloading=False)),
        )

    def _start_again(self, server: ModelServer, spec: ServerSpec, serving: Versions, record: ServedRecord) -> bool:
        """Start the former server again where a reload has ended it; False where it still runs."""
        runtime = self.runtimes.get(server.runtime)
        if runtime.refresh(server).exit_code is None:
            return False
        runtime.stop(server, timeout_s=0)
        again = runtime.start(_with_kept_ports(spec, [server]))
        self.session.change(served=replace(record, id=again.id, started_at=again.started_at.isoformat()))
        self._wait_for(WatchedServer(runtime, again), serving, self.ready_timeout_s)
        return True

    def _claim(self, runtime: str) -> None:
        """Note that this runtime may hold a server of the project."""
        self.session.change(started=tuple(sorted({*self.session.state.started, runtime})))

    def _record(self, server: ModelServer, spec: ServerSpec, wanted: Versions) -> None:
        """Note what this server serves, where that is not recorded; no model file is read."""
        state = self.session.state
        known = state.served if state.served and state.served.id == server.id else None
        if known is None or not records_versions(known, wanted):
            now = served_record(server, spec, wanted, state.fetched)
            self.session.change(served=served_again(known, now) if known else now)

    def _serving(self, running: Sequence[ModelServer], spec: ServerSpec) -> Versions:
        """The AVAILABLE versions of the server that is to be replaced, which a roll-back must bring back."""
        if not running:
            return {}
        from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415  # a first start need not wait for it
        from tfs_workflow.workflow.plan.reload import available  # noqa: PLC0415

        with (
            # Its token may be gone: then it is replaced like one that does not answer.
            suppress(ConfigError),
            RestJsonClient(running[0].rest_url, credentials=running[0].credentials()) as client,
        ):
            return available(client, recorded_models(self.session.state.served) or spec.models)
        return {}

    @contextmanager
    def _replacing_with_rollback(self, running: Sequence[ModelServer], serving: Versions) -> Iterator[None]:
        """Stop the running servers for the block; restart them if it raises, record the restart, and wait for it."""
        try:
            with ExitStack() as stack:
                for server in running:
                    stack.enter_context(self.runtimes.get(server.runtime).replacing(server))
                yield
        except WorkflowError as error:
            if running:
                error.what += f"; {self._awaited_restart(running, serving, self.ready_timeout_s)}"
            raise
        except BaseException:
            if running:
                self.notify(self._awaited_restart(running, serving, INTERRUPTED_WAIT_S))
            raise

    def _awaited_restart(self, running: Sequence[ModelServer], serving: Versions, timeout_s: float) -> str:
        """Record that the former servers run again, wait for the first of them, and put the result into words."""
        started_s = time.monotonic()
        for server in reversed(running):
            runtime = self.runtimes.get(server.runtime)
            again = self._record_restart(server, runtime.find(server.project))
        if again is None:
            return "the former server does not run again; invoke serve starts one"
        if not any(serving.values()):
            return "the former server runs again; it did not serve before it was stopped"
        try:
            self._wait_for(WatchedServer(runtime, again), serving, timeout_s)
        except ServerNotReadyError as error:
            return f"the former server runs again, but {error.what}"
        return f"the former server runs again, AVAILABLE after {time.monotonic() - started_s:.1f} s"

    def _record_restart(self, before: ModelServer, found: Sequence[ModelServer]) -> ModelServer | None:
        served = self.session.state.served
        for server in found:
            if server.exit_code is None and server.digest == before.digest:
                if served and served.id == before.id:
                    again = replace(served, id=server.id, started_at=server.started_at.isoformat())
                    self.session.change(served=again)
                return server
        return None

    def _wait(self, runtime: Runtime, server: ModelServer, wanted: Versions) -> Statuses:
        return self._wait_for(WatchedServer(runtime, server), wanted, self.ready_timeout_s)

    def _wait_for(self, watched: WatchedServer, wanted: Versions, timeout_s: float) -> Statuses:
        # Here and not above: while these are imported, the server starts.
        from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415
        from tfs_workflow.health.readiness import wait_until_available  # noqa: PLC0415

        with RestJsonClient(watched.server.rest_url, credentials=watched.server.credentials()) as client:
            try:
                return wait_until_available(wanted, client, watched, timeout_s, progress=self.progress)
            except ServerNotReadyError as error:
                if watched.server.restarts:
                    error.what += f"; the engine restarted it {watched.server.restarts} times"
                raise


def _with_kept_ports(spec: ServerSpec, running: Sequence[ModelServer]) -> ServerSpec:
    """The spec with the ports of the server that is replaced, so that its clients find the new one."""
    return replace(spec, kept_ports=(running[0].rest_port, running[0].grpc_port)) if running else spec


def stop_servers(runtimes: Runtimes, servers: Sequence[ModelServer], timeout_s: int) -> None:
    """Stop and remove the servers; SIGKILL after `timeout_s`."""
    for server in servers:
        runtimes.get(server.runtime).stop(server, timeout_s)


@contextmanager
def _removed_on_failure(runtime: Runtime, project: str, before: set[str]) -> Iterator[None]:
    """Remove every server that a failed or interrupted start created."""
    try:
        yield
    except BaseException:
        for server in runtime.find(project):
            if server.id not in before:
                runtime.stop(server, timeout_s=0)
        raise
