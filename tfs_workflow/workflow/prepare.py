"""setup: the workspace, every model and the runtime, at the same time; then checked and pinned."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tfs_workflow.checks import check_models
from tfs_workflow.checks.docker_host import engine_findings
from tfs_workflow.checks.finding import raise_first_failure
from tfs_workflow.checks.machine import cpu_flags, processor
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError, FetchFailed
from tfs_workflow.runtimes.availability import require_embedded
from tfs_workflow.runtimes.choice import Choice, choose
from tfs_workflow.runtimes.kinds import reader
from tfs_workflow.runtimes.ports import is_free, port_holder
from tfs_workflow.sources.fetch import Fetched, fetch
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.state import lockfile
from tfs_workflow.state.setup_record import Prepared, PreparedModel, asked, content_digest, keep, recalled, source_list
from tfs_workflow.state.workspace import Workspace
from tfs_workflow.workflow.parallel import run_all
from tfs_workflow.workflow.project import announce_wait, require_engine_in_reach, server_spec, started_with


@dataclass(frozen=True)
class SetUp:
    """What setup made ready: the workspace, each model, the runtime and why, and the lock file."""

    workspace: Path
    models: Mapping[str, Fetched]
    choice: Choice
    lock: Path


def setup(
    loaded: LoadedConfig, transfer: Transfer, *, locked: bool = False, offline: bool = False, update: bool = False
) -> SetUp:
    """Make everything ready; a second call does nothing over the network.

    With `locked` any difference from the lock file is FetchFailed; `offline` touches no network; `update` asks the
    sources and the registry again.
    """
    config = loaded.config
    lock_file = lockfile.lock_path(loaded.path)
    pinned = lockfile.read(lock_file)
    if locked and pinned is None:
        raise ConfigError("there is no lock file", where=str(lock_file), fix="run invoke setup once without --locked")
    workspace = Workspace.create(loaded.workspace, config.project)
    with workspace.exclusive(announce_wait(transfer)):
        _warn_of_taken_ports(config, workspace, transfer)
        locked_models = pinned.models if locked and pinned else {}
        steps = _fetches(loaded, workspace, transfer, offline=offline, update=update, locked=locked_models)
        image = partial(_provide_image, config, transfer, offline=offline, update=update)
        runtime = partial(_choose, config, None if update else recalled(workspace), image)
        found = run_all(steps | {"runtime": runtime}, transfer.cancelled)
        choice: Choice = found.pop("runtime")
        made = replace(_prepared(config, found, choice), locked=locked)
        check_models(server_spec(config, made), reader(choice.runtime))
        now = _pin(loaded, pinned, found, choice)
        if locked and pinned is not None:
            _check_lock(lock_file, pinned, now)
        else:
            lockfile.write(lock_file, now)
        keep(workspace, made)
    return SetUp(workspace.path, found, choice, lock_file)


def _warn_of_taken_ports(config: Config, workspace: Workspace, transfer: Transfer) -> None:
    """Say now what serve would fail with; ports that our own server may hold are its business."""
    if started_with(workspace):
        return
    address = "0.0.0.0" if config.server.expose else "127.0.0.1"  # noqa: S104  # as the server will listen
    for key in ("rest_port", "grpc_port"):
        port = getattr(config.server, key)
        if port != "auto" and not is_free(port, address):
            transfer.announce(f"server.{key}: port {port} is taken by {port_holder(port)}; serve will need it")


def _fetches(  # noqa: PLR0913  # they go through to every fetch
    loaded: LoadedConfig,
    workspace: Workspace,
    transfer: Transfer,
    *,
    offline: bool,
    update: bool,
    locked: Mapping[str, lockfile.LockedModel],
) -> dict[str, Callable[[], object]]:
    """One step a model, none of which needs another."""
    same = partial(fetch, workspace=workspace, yaml_dir=loaded.path.parent, transfer=transfer, offline=offline)
    return {
        name: partial(same, name, model.source, update=update, locked=locked.get(name))
        for name, model in loaded.config.models.items()
    }


def _choose(config: Config, kept: Prepared | None, provide_image: Callable[[], str]) -> Choice:
    """The runtime; where auto found no docker last time, it is not looked for again until --update."""
    if kept and kept.runtime == "embedded" and config.runtime == "auto" and kept.asked == asked(config):
        require_embedded()
        return Choice(kept.runtime, kept.reason)
    return choose(config, provide_image)


def _provide_image(config: Config, transfer: Transfer, *, offline: bool, update: bool) -> str:
    """The digest of the image, pulled if it is not here; first what would make the pull a waste is looked for."""
    # docker-py only where it is needed
    from tfs_workflow.runtimes.docker import Engine, image_pull  # noqa: PLC0415
    from tfs_workflow.runtimes.docker.engine_info import engine_facts  # noqa: PLC0415

    require_engine_in_reach(config)
    engine, reference = Engine(), config.server.image
    digest = image_pull.image_digest(engine, reference)
    if digest is not None and not update:
        return digest
    if offline:
        raise FetchFailed("the image is not on this machine", where=reference, fix="run invoke setup without --offline")
    if digest is None:
        facts = engine_facts(reference)
        raise_first_failure(engine_findings(facts, reference, config.server.expose))
        if facts.local:
            raise_first_failure(processor(cpu_flags(), platform.machine()))
    return image_pull.pull(engine, reference, transfer)


def _prepared(config: Config, fetched: Mapping[str, Fetched], choice: Choice) -> Prepared:
    models = {
        name: PreparedModel(str(one.base_path), content_digest(one.files), source_list(config.models[name]))
        for name, one in fetched.items()
    }
    return Prepared(choice.runtime, choice.reason, choice.image_digest, models, asked(config))


def _pin(
    loaded: LoadedConfig, pinned: lockfile.Lock | None, fetched: Mapping[str, Fetched], choice: Choice
) -> lockfile.Lock:
    """What the lock file should say now."""
    image, digest = loaded.config.server.image, choice.image_digest
    if choice.runtime != "docker" and pinned is not None and pinned.image == image:
        digest = pinned.image_digest  # another machine's runtime may need it
    return lockfile.Lock(image=image, image_digest=digest, models={name: one.locked for name, one in fetched.items()})


def _check_lock(path: Path, pinned: lockfile.Lock, now: lockfile.Lock) -> None:
    if differences := lockfile.differences(pinned, now):
        raise FetchFailed(
            "what was found is not what is locked",
            where=str(path),
            evidence="; ".join(differences),
            fix="run invoke setup without --locked to accept it, or restore what moved",
        )
