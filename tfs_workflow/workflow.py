"""The only module that knows the order of the steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tfs_workflow import lock
from tfs_workflow.checks import check_models
from tfs_workflow.config import Config, LoadedConfig
from tfs_workflow.errors import ConfigError, FetchFailed, NotReady
from tfs_workflow.parallel import run_all
from tfs_workflow.prepared import Prepared, PreparedModel, content_digest, keep, prepared, source_list
from tfs_workflow.retries import Transfer
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.choice import Choice, choose
from tfs_workflow.runtimes.observer import Observer
from tfs_workflow.runtimes.registry import EVERY, Runtimes
from tfs_workflow.serving.client import ServingClient, VersionStatus
from tfs_workflow.serving.diagnosis import diagnose
from tfs_workflow.serving.readiness import wait_until_available
from tfs_workflow.serving.spec import ServerSpec
from tfs_workflow.serving.spec_builder import build_spec
from tfs_workflow.sources import Fetched, fetch
from tfs_workflow.workspace import Workspace

STARTED = "started"
NOBODY = (65534, 65534)


@dataclass(frozen=True)
class SetUp:
    """What setup made ready: the workspace, each model, the runtime and why, and the lock file."""

    workspace: Path
    models: Mapping[str, Fetched]
    choice: Choice
    lock: Path


@dataclass(frozen=True)
class Served:
    """A server with the status of every model; `unchanged` when it ran already, `replaced` when another made room."""

    server: ModelServer
    models: Mapping[str, list[VersionStatus]]
    unchanged: bool = False
    replaced: bool = False


@dataclass(frozen=True)
class TornDown:
    """What teardown removed."""

    servers: tuple[ModelServer, ...]
    workspace: Path | None = None
    image: str = ""


def setup(
    loaded: LoadedConfig, transfer: Transfer, *, locked: bool = False, offline: bool = False, update: bool = False
) -> SetUp:
    """Make the workspace, fetch every model and provide the runtime at the same time, check and pin them."""
    config = loaded.config
    lock_file = lock.lock_path(loaded.path)
    pinned = lock.read(lock_file)
    if locked and pinned is None:
        raise ConfigError("there is no lock file", where=str(lock_file), fix="run invoke setup once without --locked")
    workspace = Workspace.create(loaded.workspace, config.project)
    with workspace.exclusive(partial(_announce_wait, transfer)):
        steps: dict[str, Callable[[], object]] = {
            name: partial(
                fetch,
                name,
                model.source,
                workspace,
                loaded.path.parent,
                transfer,
                offline=offline,
                update=update,
                locked=pinned.models.get(name) if locked and pinned else None,
            )
            for name, model in config.models.items()
        }
        image = partial(_provide_image, config, transfer, offline, update)
        found = run_all(steps | {"runtime": partial(choose, config, image)}, transfer.cancelled)
        choice: Choice = found.pop("runtime")
        made = _prepared(config, found, choice)
        check_models(_spec(config, made), _reader(choice.runtime))
        now = _pin(loaded, pinned, found, choice)
        if locked and pinned is not None:
            _check_lock(lock_file, pinned, now)
        else:
            lock.write(lock_file, now)
        keep(workspace, made)
    return SetUp(workspace.path, found, choice, lock_file)


def _provide_image(config: Config, transfer: Transfer, offline: bool, update: bool) -> str:
    """The digest of the image, pulled if it is not here."""
    from tfs_workflow.runtimes.docker import Engine, image  # noqa: PLC0415  # docker-py only where it is needed

    engine, reference = Engine(), config.server.image
    digest = image.image_digest(engine, reference)
    if digest is not None and not update:
        return digest
    if offline:
        raise FetchFailed("the image is not on this machine", where=reference, fix="run invoke setup without --offline")
    return image.pull(engine, reference, transfer)


def _prepared(config: Config, fetched: Mapping[str, Fetched], choice: Choice) -> Prepared:
    models = {
        name: PreparedModel(str(one.base_path), content_digest(one.files), source_list(config.models[name]))
        for name, one in fetched.items()
    }
    return Prepared(choice.runtime, choice.reason, choice.image_digest, models)


def _spec(config: Config, made: Prepared) -> ServerSpec:
    return build_spec(config, made.runtime, made.base_paths, made.contents, made.image_digest)


def _reader(runtime: str) -> tuple[int, int] | None:
    """Whom the files must be readable for: the container's user, where it is not ourselves."""
    return NOBODY if runtime == "docker" and os.getuid() == 0 else None


def _pin(loaded: LoadedConfig, pinned: lock.Lock | None, fetched: Mapping[str, Fetched], choice: Choice) -> lock.Lock:
    """What the lock file should say now."""
    image, digest = loaded.config.server.image, choice.image_digest
    if choice.runtime != "docker" and pinned is not None and pinned.image == image:
        digest = pinned.image_digest  # another machine's runtime may need it
    return lock.Lock(image=image, image_digest=digest, models={name: one.locked for name, one in fetched.items()})


def _check_lock(path: Path, pinned: lock.Lock, now: lock.Lock) -> None:
    if differences := lock.differences(pinned, now):
        raise FetchFailed(
            "what was found is not what is locked",
            where=str(path),
            evidence="; ".join(differences),
            fix="run invoke setup without --locked to accept it, or restore what moved",
        )


def serve(loaded: LoadedConfig, transfer: Transfer) -> Served:
    """Start the server unless the very same one runs, and wait until every wanted version is AVAILABLE."""
    config = loaded.config
    workspace = Workspace.open(loaded.workspace, config.project)
    made = prepared(workspace, config)
    if workspace is None:  # pragma: no cover  # prepared() has raised
        raise AssertionError
    with workspace.exclusive(partial(_announce_wait, transfer)):
        spec = _spec(config, made)
        wanted = check_models(spec, _reader(made.runtime))
        runtimes = _runtimes(workspace)
        found = runtimes.find(config.project, _used(workspace, made.runtime), required=made.runtime)
        current = [(r, s) for r, s in found if s.exit_code is None and s.digest == spec.digest()]
        wait = partial(_wait, wanted=wanted, timeout_s=config.server.ready_timeout_s)
        if current:
            runtime, server = current[0]
            return Served(server, wait(runtime, server), unchanged=True)
        workspace.remember(STARTED, sorted({*_used(workspace), made.runtime}))
        runtime = runtimes.get(made.runtime)
        with _room(found, spec), _removed_unless_ready(runtime, config.project):
            server = runtime.start(spec)
            statuses = wait(runtime, server)
        return Served(server, statuses, replaced=any(s.exit_code is None for _, s in found))


@contextmanager
def _room(found: list[tuple[Runtime, ModelServer]], spec: ServerSpec) -> Iterator[None]:
    """Ended servers go at once; a running one makes room, and comes back when its successor fails."""
    with ExitStack() as stack:
        for owner, server in found:
            if server.exit_code is None:
                stack.enter_context(owner.replacing(server))
            else:
                owner.stop(server, spec.stop_timeout_s)
        yield


@contextmanager
def _removed_unless_ready(runtime: Runtime, project: str) -> Iterator[None]:
    """Whatever a failed or interrupted start brought into the world under this project's label goes again."""
    before = {server.id for server in runtime.find(project)}
    try:
        yield
    except BaseException:
        for server in runtime.find(project):
            if server.id not in before:
                runtime.stop(server, timeout_s=0)
        raise


def _wait(
    runtime: Runtime, server: ModelServer, wanted: Mapping[str, list[int]], timeout_s: float
) -> dict[str, list[VersionStatus]]:
    with ServingClient(server.rest_url) as client:
        return wait_until_available(wanted, client, Observer(runtime, server), timeout_s)


def running(loaded: LoadedConfig) -> tuple[Runtime, ModelServer]:
    """The project's running server; NotReady when there is none."""
    found = _found(loaded)
    for runtime, server in found:
        if server.exit_code is None:
            return runtime, server
    ended = f"the last one ended with exit code {found[0][1].exit_code}" if found else ""
    raise NotReady("no server of this project runs", where=loaded.config.project, evidence=ended, fix="invoke serve")


def known(loaded: LoadedConfig) -> tuple[Runtime, ModelServer]:
    """The project's server, running or ended; NotReady when there is none."""
    for runtime, server in _found(loaded):
        return runtime, server
    raise NotReady("there is no server of this project", where=loaded.config.project, fix="invoke serve")


def _found(loaded: LoadedConfig) -> list[tuple[Runtime, ModelServer]]:
    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        return []
    return _runtimes(workspace).find(loaded.config.project, _used(workspace))


def teardown(loaded: LoadedConfig, transfer: Transfer, *, purge: bool = False, image: bool = False) -> TornDown:
    """Stop and remove every server that bears the project's label; repeatable."""
    config = loaded.config
    workspace = Workspace.open(loaded.workspace, config.project)
    if workspace is None:
        return TornDown(
            _stopped(Workspace(loaded.workspace, config.project), config), image=_removed_image(config, image)
        )
    with workspace.exclusive(partial(_announce_wait, transfer)):
        servers = _stopped(workspace, config)
        workspace.remember(STARTED, None)
        removed = _removed_image(config, image)
        if purge:
            workspace.purge()
    return TornDown(servers, workspace.path if purge else None, removed)


def _stopped(workspace: Workspace, config: Config) -> tuple[ModelServer, ...]:
    """Stop the project's servers under every runtime, since a workspace that was lost remembers none of them."""
    required = "docker" if "docker" in _used(workspace) or config.runtime == "docker" else ""
    found = _runtimes(workspace).find(config.project, EVERY, required)
    for runtime, server in found:
        runtime.stop(server, config.server.stop_timeout_s)
    return tuple(server for _, server in found)


def _removed_image(config: Config, wanted: bool) -> str:
    if not wanted:
        return ""
    from tfs_workflow.runtimes.docker import Engine, image  # noqa: PLC0415  # docker-py only where it is needed

    return config.server.image if image.remove(Engine(), config.server.image) else ""


def _runtimes(workspace: Workspace) -> Runtimes:
    return Runtimes(workspace.serving, workspace.run / "server.log")


def _used(workspace: Workspace, chosen: str = "") -> tuple[str, ...]:
    """The runtimes that may hold a server of this project: what was started before, and the chosen one."""
    return tuple({*(workspace.recall(STARTED) or ()), *([chosen] if chosen else ())})


def _announce_wait(transfer: Transfer, pid: int | None) -> None:
    transfer.announce("waiting for another verb of this project" + (f" (pid {pid})" if pid else ""))


def raise_ended(runtime: Runtime, server: ModelServer) -> None:
    """Raise NotReady with the diagnosis of a server that ended by itself."""
    observer = Observer(runtime, server)
    exit_code = observer.exit_code()
    found = diagnose(observer.lines(), exit_code, observer.out_of_memory())
    raise NotReady(f"the server ended: {found.cause}", evidence=found.evidence, fix=found.fix)
