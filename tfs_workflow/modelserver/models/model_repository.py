"""The models and their versions: watches base paths, loads, unloads, and answers what is served.

Requests read while loaders write. Lookups are far more frequent, so they take no lock: `_serving` and `_latest` are
replaced as whole dicts, and an attribute read is atomic. All other state is guarded by `_changed`, which is not held
during a load or an unload.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.models import model_config
from tfs_workflow.modelserver.models.base_path import versions_on_disk
from tfs_workflow.modelserver.models.known_model import KnownModel, VersionRecord
from tfs_workflow.modelserver.models.version_policy import VersionState, to_load, to_unload, wanted_versions
from tfs_workflow.modelserver.status_error import StatusError, failed_precondition, invalid_argument, not_found
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig, ModelServerConfig

_HARNESS = "core/loader_harness.cc"

# Model name, version number and directory to a servable; raises StatusError.
Load = Callable[[str, int, Path], Servable]


@dataclass(frozen=True)
class LifecycleOptions:
    """How versions are watched and loaded; a poll interval of 0 looks once, a negative one never."""

    poll_wait_s: float = 1
    max_load_retries: int = 5
    load_retry_interval_s: float = 60
    load_threads: int = 1
    initial_load_threads: int = 8
    labels_for_unavailable: bool = False


class ModelRepository:
    """All models of the server. Lookups take no lock: they read maps that are replaced, never changed."""

    def __init__(self, load: Load, options: LifecycleOptions) -> None:
        self._load = load
        self._options = options
        self._models: dict[str, KnownModel] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._serving: dict[str, dict[int, Servable]] = {}
        self._latest: dict[str, Servable] = {}
        self._changed = threading.Condition()
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._loaders = ThreadPoolExecutor(max(options.initial_load_threads, 1), "load")
        # Called after each reload with what is served from then on.
        self.on_reload: Callable[[Mapping[str, ModelConfig]], None] = lambda _: None

    # Lookups, from any thread.

    def servable(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """The version to run; the newest that serves where none is named. Raises StatusError."""
        if not name:
            raise invalid_argument("ModelSpec has no name specified.")
        if label is not None:
            version = self._version_of(name, label)
        found = self._latest.get(name) if version is None else self._serving.get(name, {}).get(version)
        if found is None:
            request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise not_found(f"Servable not found for request: {request}")
        return found

    def versions(self, name: str, number: int | None = None) -> list[VersionRecord]:
        """Every version of a model that was ever wanted, newest first; raises StatusError when there is none."""
        with self._changed:
            model = self._models.get(name)
            versions = dict(model.versions) if model else {}
        if number is not None:
            if number not in versions:
                raise not_found(f"Could not find version {number} of model {name}")
            return [versions[number]]
        if not versions:
            raise not_found(f"Could not find any versions of model {name}")
        return [versions[n] for n in sorted(versions, reverse=True)]

    def names(self) -> list[str]:
        """The models of the configuration, sorted."""
        with self._changed:
            return sorted(name for name, model in self._models.items() if model.is_configured)

    def is_ready(self) -> bool:
        """Whether every wanted version of every model is AVAILABLE; a model without a wanted version is not."""
        with self._changed:
            return all(model.is_ready for model in self._models.values() if model.is_configured)

    # Configuration.

    def start(self, models: Mapping[str, ModelConfig]) -> None:
        """Take the first configuration and return once every model serves; raises StatusError when one cannot."""
        self._apply(models)
        self._wait_until_available(models)
        # The first models load side by side; later ones disturb those that serve as little as asked for.
        self._loaders.shutdown(wait=False)
        self._loaders = ThreadPoolExecutor(max(self._options.load_threads, 1), "load")
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def reload(self, config: ModelServerConfig) -> None:
        """Take another configuration; raises StatusError, and leaves all as it was when the configuration is wrong."""
        with self._reloading:
            before = {name: model.config for name, model in self._models.items() if model.is_configured}
            models = model_config.following(before, config)
            self._apply(models)
            self._wait_until_available(models.keys() - before.keys())
            self.on_reload(models)

    def stop(self) -> None:
        """Stop watching and waiting; what is loaded stays."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()

    def _apply(self, models: Mapping[str, ModelConfig]) -> None:
        log.info("model_servers/server_core.cc", "Adding/updating models.")
        self._check_labels(models)
        with self._changed:
            for name, config in models.items():
                log.info("model_servers/server_core.cc", f" (Re-)adding model: {name}")
                model = self._models.setdefault(name, KnownModel(config))
                model.config, model.is_configured = config, True
            for name, model in self._models.items():
                if name not in models:
                    model.is_configured, model.wanted = False, set()
            self._labels = {name: dict(config.version_labels) for name, config in models.items()}
        if self._options.poll_wait_s >= 0:
            self._poll()

    def _check_labels(self, models: Mapping[str, ModelConfig]) -> None:
        for name, config in models.items():
            for label, version in config.version_labels.items():
                is_new = label not in self._labels.get(name, {})
                if version in self._serving.get(name, {}) or (is_new and self._options.labels_for_unavailable):
                    continue
                raise failed_precondition(
                    f"Request to assign label to version {version} of model {name}, "
                    "which is not currently available for inference"
                )

    def _version_of(self, name: str, label: str) -> int:
        version = self._labels.get(name, {}).get(label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return version

    def _wait_until_available(self, models: Iterable[str]) -> None:
        with self._changed:
            while not self._stopping.is_set():
                pending = [self._models[name] for name in models if name not in self._latest]
                failed = [model for model in pending if model.has_failed]
                if failed and len(failed) == len(pending):
                    raise _not_available(failed)
                if not pending:
                    return
                self._watch_while_waiting()
        raise StatusError(Code.CANCELLED, "The server is ending.")

    def _watch_while_waiting(self) -> None:
        """Wait for a change, but no longer than until the next look at the base paths."""
        wait_s = self._options.poll_wait_s
        if not self._changed.wait(wait_s if wait_s > 0 else None) and wait_s > 0:
            self._poll()

    # Watching and loading.

    def _watch(self) -> None:
        while self._options.poll_wait_s > 0 and not self._stopping.wait(self._options.poll_wait_s):
            self._poll()

    def _poll(self) -> None:
        """Look at every base path, and start what follows from it."""
        with self._changed:
            configured = {name: model.config for name, model in self._models.items() if model.is_configured}
            started = {name: set(self._models[name].started()) for name in configured}
        # Without the lock: a file system may be slow, and lookups should not wait for it.
        seen = {name: self._look(name, config, started[name]) for name, config in configured.items()}
        with self._changed:
            for name, model in self._models.items():
                found = seen.get(name)
                if found is not None and model.config is configured[name] and model.is_configured:
                    self._want(name, model, found)
                self._step(name, model)

    def _look(self, name: str, config: ModelConfig, started: set[int]) -> dict[int, Path] | None:
        """The versions on disk; without those that are still being copied, where others serve already."""
        found = versions_on_disk(config)
        return found if not found or not started else self._models[name].arrivals.complete(found, started)

    def _want(self, name: str, model: KnownModel, found: dict[int, Path]) -> None:
        model.wanted = wanted_versions(found, model.config.model_version_policy)
        # A failed version is tried again only once it has been unwanted in between, as when it was removed and copied
        # again.
        model.failed &= model.wanted
        for number in to_load(model.started(), model.wanted):
            model.versions[number] = VersionRecord(number, found[number])
            self._loaders.submit(self._bring_up, name, model, model.versions[number])

    def _step(self, name: str, model: KnownModel) -> None:
        for number in to_unload(model.states(), model.wanted):
            version = model.versions[number]
            version.state = VersionState.UNLOADING
            self._publish(name, model)
            self._loaders.submit(self._take_down, name, model, version)

    def _bring_up(self, name: str, model: KnownModel, version: VersionRecord) -> None:
        shown = f"{{name: {name} version: {version.number}}}"
        self._set(version, VersionState.LOADING)
        log.info(_HARNESS, f"Loading servable version {shown}")
        for attempt in range(self._options.max_load_retries + 1):
            if attempt:
                log.info("util/retrier.cc", f"Retrying of Loading servable: {shown} retry: {attempt}")
            try:
                version.servable = self._load(name, version.number, version.path)
                break
            except StatusError as error:
                version.error = error
                log.error("util/retrier.cc", f"Loading servable: {shown} failed: {error}")
            is_last = attempt == self._options.max_load_retries
            if is_last or self._stopping.wait(self._options.load_retry_interval_s):
                break
        self._arrive(name, model, version, shown)

    def _arrive(self, name: str, model: KnownModel, version: VersionRecord, shown: str) -> None:
        with self._changed:
            if version.servable is None:
                log.error(_HARNESS, f"Encountered an error for servable version {shown}: {version.error}")
                version.state = VersionState.END
                model.failed.add(version.number)
            else:
                version.error, version.state = None, VersionState.AVAILABLE
                self._publish(name, model)
                log.info(_HARNESS, f"Successfully loaded servable version {shown}")
            self._step(name, model)
            self._changed.notify_all()

    def _take_down(self, name: str, model: KnownModel, version: VersionRecord) -> None:
        shown = f"{{name: {name} version: {version.number}}}"
        log.info(_HARNESS, f"Unloading servable version {shown}")
        if version.servable is not None:
            version.servable.session.close()
            version.servable = None
        self._set(version, VersionState.END)
        log.info(_HARNESS, f"Done unloading servable version {shown}")
        self._bring_back(name, model, version)

    def _bring_back(self, name: str, model: KnownModel, version: VersionRecord) -> None:
        """Load a version again that was wanted while it was being unloaded: the model was removed and added at once."""
        with self._changed:
            if version.number in model.wanted and model.versions[version.number] is version:
                model.versions[version.number] = VersionRecord(version.number, version.path)
                self._loaders.submit(self._bring_up, name, model, model.versions[version.number])

    def _set(self, version: VersionRecord, state: VersionState) -> None:
        with self._changed:
            version.state = state
            self._changed.notify_all()

    def _publish(self, name: str, model: KnownModel) -> None:
        """Replace the maps that lookups read."""
        available = (v for v in model.versions.values() if v.state is VersionState.AVAILABLE)
        serving = {version.number: version.servable for version in available if version.servable}
        latest = {k: v for k, v in self._latest.items() if k != name}
        if serving:
            latest[name] = serving[max(serving)]
        self._serving = {**self._serving, name: serving}
        self._latest = latest


def _not_available(models: list[KnownModel]) -> StatusError:
    failures = [
        f"{{{{name: {model.config.name} version: {version.number}}} due to error: {version.error}}}, "
        for model in models
        for version in model.versions.values()
        if version.error
    ]
    return StatusError(Code.UNKNOWN, f"{len(failures)} servable(s) did not become available: {{{''.join(failures)}}}")
