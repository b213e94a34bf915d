"""bench --advise: the same load on one server after another, each with batching parameters of its own.

The servers are started beside the one that runs, on free ports and under a project of their own, so that no other verb
takes one for the project's. One runs at a time. After a kill, `teardown --orphans` finds what is left of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Batching
from tfs_workflow.errors import ConfigError
from tfs_workflow.health.readiness import wait_until_available
from tfs_workflow.quality.bench.advice import Candidate, grid, name_of
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.setup_record import SetupRequiredError
from tfs_workflow.workflow.plan.watched_server import WatchedServer
from tfs_workflow.workflow.prepare import prepare
from tfs_workflow.workflow.project import Project, WantedServer, open_project
from tfs_workflow.workflow.quality.bench import Bench, BenchOptions, Progress

_STOP_TIMEOUT_S = 5


def candidates_of(loaded: LoadedConfig, options: BenchOptions) -> list[Batching | None]:
    """What to try for this model, none first."""
    example = loaded.config.models[options.target.model].example
    # As far as they are known before a server runs: a candidate that is too small is refused by the server, and seen.
    rows = options.rows or (len(example.instances) if example and example.instances else 1)
    return grid(rows, os.cpu_count() or 1, loaded.config.server.batching)


def tried(
    loaded: LoadedConfig,
    options: BenchOptions,
    batchings: Sequence[Batching | None],
    context: TransferContext,
    progress: Progress,
) -> Iterator[Candidate]:
    """Each candidate as soon as it is measured, on a server of its own.

    Raises what the runtime, the wait and the bench raise; then nothing that was started here is left.
    """
    project = _project(loaded, context)
    wanted = project.wanted()
    for batching in batchings:
        context.notify(f"trying {name_of(batching)}")
        with _serving(project, replace(wanted, spec=_spec(wanted.spec, batching))) as (runtime, server):
            bench = Bench(loaded, options, runtime, server)
            yield Candidate(batching, bench.measure(progress).points[0])


def _project(loaded: LoadedConfig, context: TransferContext) -> Project:
    try:
        return open_project(loaded)
    except (SetupRequiredError, ConfigError):
        prepare(loaded, context)
        return open_project(loaded)


def _spec(spec: ServerSpec, batching: Batching | None) -> ServerSpec:
    parameters = tuple(batching.model_dump(exclude_none=True).items()) if batching else ()
    return replace(spec, project=f"{spec.project}-advise", batching=parameters, rest_port=0, grpc_port=0, restart="no")


@contextmanager
def _serving(project: Project, wanted: WantedServer) -> Iterator[tuple[Runtime, ModelServer]]:
    """A server of the spec for the block, its files in the workspace's staging directory."""
    with project.session.workspace.staged("advise") as directory:
        # A container reads its configuration as another user.
        directory.chmod(0o755)
        runtime = _runtime(directory, wanted.spec.runtime)
        server = runtime.start(wanted.spec)
        try:
            with RestJsonClient(server.rest_url, credentials=server.credentials()) as client:
                wait_until_available(wanted.versions, client, WatchedServer(runtime, server), project.ready_timeout_s)
            yield runtime, server
        finally:
            runtime.stop(server, _STOP_TIMEOUT_S)


def _runtime(directory: Path, name: str) -> Runtime:
    (directory / "serving").mkdir(mode=0o755)
    return Runtimes(directory / "serving", directory / "server.log").get(name)
