"""The engine: models as the flags name them, and the two APIs that answer from them.

It knows no sockets. In a server of one process the fronts call its APIs directly (server.py); in a family of processes
the calls come over a Unix socket (processes/engine_process.py).
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.exchange import Cancel
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.inference import batcher
from tfs_workflow.modelserver.inference.batcher import Batcher
from tfs_workflow.modelserver.inference.scheduler import Scheduler
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.inference.workers import Workers
from tfs_workflow.modelserver.metrics.counts import SharedCounts
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.modelserver.models import model_config
from tfs_workflow.modelserver.models.model_repository import LifecycleOptions, ModelRepository
from tfs_workflow.modelserver.models.version_policy import VersionState
from tfs_workflow.modelserver.rest.rest_api import RestApi
from tfs_workflow.modelserver.rpc.grpc_service import GrpcApi
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.modelserver.tensorflow import graph_writes
from tfs_workflow.modelserver.tensorflow.session import Session
from tfs_workflow.modelserver.warmup import warm_up
from tfs_workflow.protos.model_server_config_pb2 import (
    BatchingParameters,
    ModelConfig,
    ModelServerConfig,
    MonitoringConfig,
)
from tfs_workflow.protos.session_pb2 import ConfigProto

_SERVER = "model_servers/server.cc"
_DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"

# Containers made and still there, at which Python looks for cycles among them.
_GARBAGE_THRESHOLD = 20_000


class KeepsConfig(Protocol):
    """What keeps the configuration of the last reload for the next engine (processes/kept_config.py)."""

    def read(self) -> bytes:
        """The configuration that was kept last; empty when there is none."""

    def keep(self, config: bytes) -> None:
        """Keep this one."""


class ModelEngine:
    """Models, and the APIs over them."""

    def __init__(
        self, flags: Flags, kept: KeepsConfig | None = None, counts: SharedCounts | None = None, region: int = 0
    ) -> None:
        """`kept` and `counts` outlive the process; a kept configuration goes before that of the flags."""
        self._flags = flags
        self._kept = kept
        self._config = session_config(flags)
        self._metrics_path = _metrics_path(flags)
        self._metrics = Metrics(counts, region) if self._metrics_path else None
        self._batching = _batching(flags)
        self._repository = ModelRepository(self._load, _lifecycle(flags))
        self._first_config = ModelServerConfig()

    def load(self) -> None:
        """Load the first models and return once each serves; raises StatusError."""
        self._first_config = self._model_config()
        if self._kept is not None and (kept := self._kept.read()):
            self._restore(ModelServerConfig.FromString(kept))
        else:
            self._repository.start(model_config.models_of(self._first_config))
        self._repository.on_reload = self._keep

    def _restore(self, config: ModelServerConfig) -> None:
        """Serve what the process before was told to; labels are assigned once their versions serve."""
        unlabelled = ModelServerConfig()
        unlabelled.CopyFrom(config)
        for model in unlabelled.model_config_list.config:
            model.version_labels.clear()
        self._repository.start(model_config.models_of(unlabelled))
        for model in config.model_config_list.config:
            for label, version in list(model.version_labels.items()):
                if not self._comes_to_serve(model.name, version):
                    del model.version_labels[label]
        self._repository.reload(config)

    def _comes_to_serve(self, name: str, number: int) -> bool:
        """Wait until a version serves, or has ended."""
        while True:
            try:
                (version,) = self._repository.versions(name, number)
            except StatusError:
                return False
            if version.state in (VersionState.AVAILABLE, VersionState.END):
                return version.state is VersionState.AVAILABLE
            time.sleep(0.01)

    def _keep(self, models: Mapping[str, ModelConfig]) -> None:
        if self._kept is not None:
            config = ModelServerConfig(model_config_list={"config": list(models.values())})
            self._kept.keep(config.SerializeToString())

    def apis(self) -> tuple[RestApi, GrpcApi, Cancel]:
        """The applications of REST and gRPC, and what cancels their requests, for the running event loop."""
        flags = self._flags
        workers = Workers("request", flags.rest_api_num_threads, flags.max_waiting_requests)
        batches = Batcher(self._batching, self._metrics, asyncio.get_running_loop()) if self._batching else None
        scheduler = Scheduler(workers, flags.rest_api_timeout_in_ms, batches)
        as_content, health = flags.enable_serialization_as_tensor_content, flags.enable_grpc_healthcheck_service
        cors = flags.rest_api_enable_cors_support
        return (
            RestApi(self._repository, scheduler, self._metrics, cors, self._metrics_path, has_fronts=flags.fronts > 0),
            GrpcApi(self._repository, scheduler, self._metrics, as_content, health),
            scheduler.cancel,
        )

    async def watch_config(self) -> None:
        """Read the configuration file again and again, if asked to; one that is wrong leaves what is there."""
        wait_s = self._flags.model_config_file_poll_wait_seconds
        if not self._flags.model_config_file or wait_s <= 0:
            return
        loop = asyncio.get_running_loop()
        last = self._first_config
        while True:
            await asyncio.sleep(wait_s)
            last = await loop.run_in_executor(None, self._reload_if_changed, last)

    def _reload_if_changed(self, last: ModelServerConfig) -> ModelServerConfig:
        """The configuration that is served: that of the file, or `last` where the file's is wrong."""
        try:
            read = self._model_config()
        except StatusError as error:
            log.error(_SERVER, f"Failed to read ModelServerConfig file: {error.message}")
            return last
        try:
            if read != last:
                self._repository.reload(read)
        except StatusError as error:
            log.error(_SERVER, f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error.message}")
            return last
        return read

    def stop(self) -> None:
        """Stop watching and waiting; what is loaded stays."""
        self._repository.stop()

    def _model_config(self) -> ModelServerConfig:
        flags = self._flags
        if flags.model_config_file:
            return model_config.read_text_proto(flags.model_config_file, ModelServerConfig())
        log.info(
            _SERVER,
            f"Building single TensorFlow model file config:  model_name: {flags.model_name} "
            f"model_base_path: {flags.model_base_path}",
        )
        return model_config.single_model(flags.model_name, flags.model_base_path)

    def _load(self, name: str, version: int, path: Path) -> Servable:
        flags = self._flags
        tags = [tag for tag in flags.saved_model_tags.split(",") if tag]
        started_s = time.perf_counter()
        try:
            servable = Servable(
                name,
                version,
                Session(path, tags, self._config, flags.large_graph_bytes),
                self._metrics,
                may_run_again=self._may_run_again(path, tags),
            )
        except StatusError:
            self._count_load(path, started_s, succeeded=False)
            raise
        self._count_load(path, started_s, succeeded=True)
        if flags.enable_model_warmup:
            try:
                warm_up(servable, path, flags.num_request_iterations_for_warmup)
            except StatusError:
                servable.session.close()
                raise
        return servable

    def _count_load(self, path: Path, started_s: float, *, succeeded: bool) -> None:
        if self._metrics is not None:
            self._metrics.load(str(path), succeeded, time.perf_counter() - started_s)

    def _may_run_again(self, path: Path, tags: Sequence[str]) -> bool:
        """Only a batch that ends the engine makes a difference, so that other servers need not read the graph."""
        flags = self._flags
        return flags.enable_batching and flags.fronts > 0 and not graph_writes.writes(path, tags)


def settle() -> None:
    """Tune the interpreter for serving, once everything is loaded."""
    # A thread that computes in Python gives way to the event loop after this long, not after five milliseconds.
    sys.setswitchinterval(0.0001)
    # What is there stays; sixty requests under way are no reason to look for garbage, of which they leave little.
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


def _batching(flags: Flags) -> batcher.BatchingOptions | None:
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise invalid_argument(
                "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
            )
        return None
    parameters = BatchingParameters()
    if flags.batching_parameters_file:
        model_config.read_text_proto(flags.batching_parameters_file, parameters)
    return batcher.options_of(parameters)


def _lifecycle(flags: Flags) -> LifecycleOptions:
    return LifecycleOptions(
        poll_wait_s=flags.file_system_poll_wait_seconds,
        max_load_retries=max(flags.max_num_load_retries, 0),
        load_retry_interval_s=max(flags.load_retry_interval_micros, 0) / 1e6,
        load_threads=flags.num_load_threads,
        labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
    )


def session_config(flags: Flags) -> ConfigProto:
    """What every session is made with; raises StatusError when the flags contradict each other."""
    config = ConfigProto()
    if flags.tensorflow_session_config_file:
        model_config.read_text_proto(flags.tensorflow_session_config_file, config)
    separate = (flags.tensorflow_intra_op_parallelism, flags.tensorflow_inter_op_parallelism)
    common = flags.tensorflow_session_parallelism
    if common > 0 and min(separate) > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    intra, inter = separate if max(separate) > 0 else (common, common)
    config.intra_op_parallelism_threads = intra or config.intra_op_parallelism_threads
    config.inter_op_parallelism_threads = inter or config.inter_op_parallelism_threads
    if not config.experimental.HasField("disable_thread_spinning"):
        # TensorFlow's idle threads would spin where the event loop, and the client beside us, have work to do.
        config.experimental.disable_thread_spinning = True
    config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    return config


def _metrics_path(flags: Flags) -> str:
    """The path that metrics are served at; empty when they are off."""
    if not flags.monitoring_config_file:
        return ""
    config = model_config.read_text_proto(flags.monitoring_config_file, MonitoringConfig()).prometheus_config
    return (config.path or _DEFAULT_METRICS_PATH) if config.enable else ""
