"""setup: prepare the workspace, every model and the runtime, at the same time; then check and pin them.

Everything slow or uncertain happens in setup: networks, registries, hashing, choosing. What it found is recorded, so
that serve needs no network and finds the same files. The order within is fixed: fetch, check, pin, record. A model that
fails the check, or differs from the lock, leaves lock file and record as they were.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tfs_workflow.checks import check_models
from tfs_workflow.checks.access_files import access_findings
from tfs_workflow.checks.docker_host import engine_findings
from tfs_workflow.checks.finding import raise_first_failure
from tfs_workflow.checks.machine import cpu_flags, processor
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError, FetchFailedError
from tfs_workflow.formats import savedmodel
from tfs_workflow.runtimes.availability import engine_listens, require_embedded, require_engine_socket
from tfs_workflow.runtimes.choice import Choice, choose
from tfs_workflow.runtimes.kinds import FALLBACK, runtime_kind
from tfs_workflow.runtimes.ports import is_free, port_holder
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.sources.fetch import Fetched, fetch
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state import lockfile
from tfs_workflow.state.project_state import ProjectState, StateSession, open_state
from tfs_workflow.state.setup_record import ModelRecord, SetupRecord, content_digest, runtime_inputs, source_list
from tfs_workflow.state.workspace import Workspace
from tfs_workflow.workflow.parallel import run_all
from tfs_workflow.workflow.project import notify_wait, require_engine_in_reach, server_spec

if TYPE_CHECKING:
    from tfs_workflow.workflow.model.warm_up import WarmedUp

_RUNTIME_STEP = "the runtime"  # with a space, which the name of a model cannot have


@dataclass(frozen=True)
class SetUp:
    """What setup prepared: the workspace, each model, the runtime and why, and the lock file.

    `models` is by model name; `lock` is the path of the lock file; `warmed_up` are the warm-up files of models.
    """

    workspace: Path
    models: Mapping[str, Fetched]
    choice: Choice
    lock: Path
    warmed_up: Sequence[WarmedUp] = ()


@dataclass(frozen=True)
class SetupOptions:
    """How setup works: with `locked` any difference from the lock file is FetchFailedError.

    `offline` makes no network call; `update` contacts the sources and the registry again. Without `pull`, `runtime:
    auto` takes the embedded server, where it is installed, rather than wait for an image that is not on the engine.
    Without `pin`, the lock file is neither read nor written.
    """

    locked: bool = False
    offline: bool = False
    update: bool = False
    pull: bool = True
    pin: bool = True


def prepare(loaded: LoadedConfig, context: TransferContext, options: SetupOptions = SetupOptions()) -> SetUp:  # frozen
    """Prepare everything that serve needs; a second call makes no network call."""
    lock_file = lockfile.lock_path(loaded.path)
    pinned = lockfile.read(lock_file) if options.pin else None
    if options.locked and pinned is None:
        raise ConfigError("there is no lock file", where=str(lock_file), fix="run invoke setup once without --locked")
    workspace = Workspace.create(loaded.workspace, loaded.config.project)
    with workspace.exclusive(notify_wait(context)), open_state(workspace) as session:
        if loaded.config.runtime != "auto":
            # Before an image is pulled in vain.
            raise_first_failure(access_findings(loaded.config, loaded.config.runtime))
        _warn_of_taken_ports(loaded.config, session.state, context)
        conditions = _Conditions(options, pinned if options.locked else None)
        models, choice = _provide(loaded, session, context, conditions)
        record = replace(_setup_record(loaded.config, models, choice), locked=options.locked)
        # Before pinning: what cannot be served should not be in the lock file.
        spec = server_spec(loaded.config, record, workspace)
        check_models(spec, runtime_kind(choice.runtime).reader())
        _warn_of_twins(spec, context)
        if options.pin:
            _pin(lock_file, pinned, _lock(loaded.config, pinned, models, choice), locked=options.locked)
        session.change(setup=record)
        warmed_up = _warmed_up(loaded, session, spec)
    return SetUp(workspace.path, models, choice, lock_file, warmed_up)


def _warmed_up(loaded: LoadedConfig, session: StateSession, spec: ServerSpec) -> Sequence[WarmedUp]:
    """Write the warm-up requests of those models whose YAML asks for them."""
    if not any(model.warmup for model in loaded.config.models.values()):
        return ()
    # Here and not above: it imports the client.
    from tfs_workflow.workflow.model.warm_up import write_configured  # noqa: PLC0415

    session.write()  # a request is made from what setup recorded
    return write_configured(loaded, session, spec)


@dataclass(frozen=True)
class _Conditions:
    """The options of setup, as every step needs them; `pinned` is the lock to hold to, if any."""

    options: SetupOptions
    pinned: lockfile.Lock | None


def _provide(
    loaded: LoadedConfig, session: StateSession, context: TransferContext, conditions: _Conditions
) -> tuple[Mapping[str, Fetched], Choice]:
    """Fetch every model and choose the runtime, at the same time."""
    config, update = loaded.config, conditions.options.update
    image = partial(_provide_image, config, context, conditions)
    runtime = partial(_choose, config, None if update else session.state.setup, image)
    steps = _fetches(loaded, session, context, conditions)
    found = run_all(steps | {_RUNTIME_STEP: runtime}, context.cancelled)
    choice: Choice = found.pop(_RUNTIME_STEP)
    return found, choice


def _warn_of_taken_ports(config: Config, state: ProjectState, context: TransferContext) -> None:
    """Warn of ports that serve would fail on, unless our own server may hold them."""
    if state.started:
        return
    address = "0.0.0.0" if config.server.expose else "127.0.0.1"  # noqa: S104  # as the server will listen
    for key in ("rest_port", "grpc_port"):
        port = getattr(config.server, key)
        if port != "auto" and not is_free(port, address):
            context.notify(f"server.{key}: port {port} is taken by {port_holder(port)}; serve will need it")


def _warn_of_twins(spec: ServerSpec, context: TransferContext) -> None:
    """Warn of version directories with the same number, such as 1 and 001: only one of them is served."""
    for model in spec.models:
        for entry in savedmodel.scan(model.base_path).skipped:
            if entry.twin:
                context.notify(f"{model.name}: {model.base_path / entry.name} is not served: {entry.reason}")


def _fetches(
    loaded: LoadedConfig, session: StateSession, context: TransferContext, conditions: _Conditions
) -> dict[str, Callable[[], object]]:
    """One independent step for each model."""
    locked = conditions.pinned.models if conditions.pinned else {}
    offline, directory = conditions.options.offline, loaded.path.parent
    same = partial(fetch, session=session, yaml_dir=directory, context=context, offline=offline)
    return {
        name: partial(
            same,
            name,
            model.source,
            update=conditions.options.update,
            locked=locked.get(name),
            flat_version=model.version,
        )
        for name, model in loaded.config.models.items()
    }


def _choose(config: Config, record: SetupRecord | None, provide_image: Callable[[], str]) -> Choice:
    """The runtime; an earlier fall-back is kept while its cause is, and an image is not pulled again until --update."""
    fell_back = record is not None and record.runtime == FALLBACK.name and config.runtime == "auto"
    if record is None or not fell_back or record.runtime_inputs != runtime_inputs(config):
        return choose(config, provide_image)
    if record.without_engine and engine_listens():
        return choose(config, provide_image)
    require_embedded()
    return Choice(record.runtime, record.reason, without_engine=record.without_engine)


def _provide_image(config: Config, context: TransferContext, conditions: _Conditions) -> str:
    """The digest of the image, pulled if it is not here, after the checks that would make the pull useless."""
    require_engine_socket()  # before docker-py, whose import takes a tenth of a second
    from tfs_workflow.runtimes.docker import Engine, image_pull  # noqa: PLC0415
    from tfs_workflow.runtimes.docker.engine_info import engine_facts  # noqa: PLC0415

    require_engine_in_reach(config)
    engine, reference = Engine(), config.server.image
    digest = image_pull.image_digest(engine, reference)
    if digest is not None and not conditions.options.update:
        return digest
    if conditions.options.offline:
        raise FetchFailedError(
            "the image is not on this machine", where=reference, fix="run invoke setup without --offline"
        )
    if digest is None and not conditions.options.pull and config.runtime == "auto" and FALLBACK.is_available():
        raise FetchFailedError("the image is not on the engine", where=reference, fix="invoke setup --update pulls it")
    if digest is None:
        # Before a pull of a gigabyte: an engine that cannot run the image is found out in a moment.
        facts = engine_facts(reference)
        raise_first_failure(engine_findings(facts, reference, config.server.expose))
        if facts.local:
            raise_first_failure(processor(cpu_flags(), platform.machine()))
    return image_pull.pull(engine, reference, context)


def _setup_record(config: Config, fetched: Mapping[str, Fetched], choice: Choice) -> SetupRecord:
    models = {
        name: ModelRecord(str(one.base_path), content_digest(one.present), source_list(config.models[name]))
        for name, one in fetched.items()
    }
    return SetupRecord(
        choice.runtime,
        choice.reason,
        choice.image_digest,
        models,
        runtime_inputs(config),
        without_engine=choice.without_engine,
        processors=_processors(choice.runtime),
    )


def _processors(runtime: str) -> int:
    """The processors of the machine that will serve: the engine's for a container, else this one's."""
    if not runtime_kind(runtime).is_container:
        return os.cpu_count() or 0
    from tfs_workflow.runtimes.docker import Engine  # noqa: PLC0415  # docker-py only where it is needed

    return Engine().processors()


def _lock(
    config: Config, pinned: lockfile.Lock | None, fetched: Mapping[str, Fetched], choice: Choice
) -> lockfile.Lock:
    """The lock of what was found."""
    image, digest = config.server.image, choice.image_digest
    if not runtime_kind(choice.runtime).has_image and pinned is not None and pinned.image == image:
        digest = pinned.image_digest  # another machine's runtime may need it
    return lockfile.Lock(image=image, image_digest=digest, models={name: one.locked for name, one in fetched.items()})


def _pin(path: Path, pinned: lockfile.Lock | None, now: lockfile.Lock, *, locked: bool) -> None:
    """Write the lock file; with `locked` compare with it instead, and raise FetchFailedError on a difference."""
    if not locked or pinned is None:
        lockfile.write(path, now)
    elif differences := lockfile.differences(pinned, now):
        raise FetchFailedError(
            "what was found is not what is locked",
            where=str(path),
            evidence="; ".join(differences),
            fix="run invoke setup without --locked to accept it, or restore what moved",
        )
