"""Executes a plan: the one place where serve and teardown start, replace and stop servers.

A start either succeeds or leaves things as they were. The running server is stopped but not yet removed while its
successor starts; any error or interrupt removes whatever the start created and restarts the old server. That restart
is recorded, so that the next `status` does not report it as drift. Before a server is started, the state file names
its runtime: after a `kill -9` in between, `teardown` still finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.sources.transfer import Progress
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.workflow.failures import recording_failure
from tfs_workflow.workflow.plan.drift import served_record
from tfs_workflow.workflow.plan.observation import Statuses
from tfs_workflow.workflow.plan.plan import PlannedAction, ServerPlan

LOG_LINES = 200


@dataclass(frozen=True)
class Execution:
    """Executes server plans with these runtimes; the session's state is written by whoever opened it.

    `progress` is called while the models load, with a label and the seconds waited and allowed.
    """

    runtimes: Runtimes
    session: StateSession
    ready_timeout_s: float
    progress: Progress | None = None

    def serve(
        self, plan: ServerPlan, spec: ServerSpec, wanted: Mapping[str, Sequence[int]]
    ) -> tuple[ModelServer, Statuses]:
        """Execute the plan, and wait until every wanted version is AVAILABLE.

        Raises what the runtime and the wait raise; then a server that ran before runs again.
        """
        # They have ended, and a container's name must be free for the next one.
        stop_servers(self.runtimes, plan.ended, timeout_s=0)
        if plan.action is not PlannedAction.KEEP:
            return self._start(plan, spec, wanted)
        (server,) = plan.running
        self._claim(server.runtime)
        statuses = self._wait(self.runtimes.get(server.runtime), server, wanted)
        self._record(server, spec, wanted)
        return server, statuses

    def _start(
        self, plan: ServerPlan, spec: ServerSpec, wanted: Mapping[str, Sequence[int]]
    ) -> tuple[ModelServer, Statuses]:
        self._claim(plan.runtime)
        self.session.write()
        runtime = self.runtimes.get(plan.runtime)
        # What ran before is spared; everything else of the project came from this start, whole or half.
        removal = _removed_on_failure(runtime, plan.project, {server.id for server in plan.running})
        recording = recording_failure(self.session, runtime)
        with self._replacing_with_rollback(plan.running), removal, recording as attempt:
            attempt.server = server = runtime.start(_with_kept_ports(spec, plan.running))
            statuses = self._wait(runtime, server, wanted)
            self._record(server, spec, wanted)
            self.session.change(failure=None)
            self.session.write()  # within the roll-back: a server that cannot be recorded is not left running
        return server, statuses

    def _claim(self, runtime: str) -> None:
        """Note that this runtime may hold a server of the project."""
        self.session.change(started=tuple(sorted({*self.session.state.started, runtime})))

    def _record(self, server: ModelServer, spec: ServerSpec, wanted: Mapping[str, Sequence[int]]) -> None:
        """Note what this server was started from, once; no model file is read."""
        state = self.session.state
        if state.served is None or state.served.id != server.id:
            self.session.change(served=served_record(server, spec, wanted, state.fetched))

    @contextmanager
    def _replacing_with_rollback(self, running: Sequence[ModelServer]) -> Iterator[None]:
        """Stop the running servers for the block; restart them if it raises, and record the restart."""
        try:
            with ExitStack() as stack:
                for server in running:
                    stack.enter_context(self.runtimes.get(server.runtime).replacing(server))
                yield
        except BaseException:
            for server in running:
                self._record_restart(server, self.runtimes.get(server.runtime).find(server.project))
            raise

    def _record_restart(self, before: ModelServer, found: Sequence[ModelServer]) -> None:
        served = self.session.state.served
        for server in found:
            if served and served.id == before.id and server.exit_code is None and server.digest == before.digest:
                again = replace(served, id=server.id, started_at=server.started_at.isoformat())
                self.session.change(served=again)

    def _wait(self, runtime: Runtime, server: ModelServer, wanted: Mapping[str, Sequence[int]]) -> Statuses:
        # Here and not above: while these are imported, the server starts.
        from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415
        from tfs_workflow.health.readiness import wait_until_available  # noqa: PLC0415

        watched = WatchedServer(runtime, server)
        with RestJsonClient(server.rest_url) as client:
            try:
                return wait_until_available(wanted, client, watched, self.ready_timeout_s, progress=self.progress)
            except ServerNotReadyError as error:
                if watched.server.restarts:
                    error.what += f"; the engine restarted it {watched.server.restarts} times"
                raise


def _with_kept_ports(spec: ServerSpec, running: Sequence[ModelServer]) -> ServerSpec:
    """The spec with the ports of the server that is replaced, so that its clients find the new one."""
    return replace(spec, kept_ports=(running[0].rest_port, running[0].grpc_port)) if running else spec


@dataclass
class WatchedServer:
    """A started server as readiness needs it: its exit code and its log, read from the runtime on each call."""

    runtime: Runtime
    server: ModelServer

    def exit_code(self) -> int | None:
        """None while the server runs."""
        self.server = self.runtime.refresh(self.server)
        return self.server.exit_code

    def out_of_memory(self) -> bool:
        """Whether the memory limit ended it."""
        return self.server.out_of_memory

    def lines(self) -> list[str]:
        """The last log lines."""
        return list(self.runtime.logs(self.server, tail=LOG_LINES))


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
