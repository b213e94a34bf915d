"""Wires the server together: flags, models, gRPC, REST, and a graceful end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.flags import Flags, usage
from tfs_workflow.modelserver.grpc import grpc_listener
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.inference import batcher
from tfs_workflow.modelserver.inference.batcher import Batcher
from tfs_workflow.modelserver.inference.lanes import LARGE_BODY_BYTES
from tfs_workflow.modelserver.inference.scheduler import Scheduler
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.inference.workers import Workers
from tfs_workflow.modelserver.metrics import Metrics, PrometheusMetrics
from tfs_workflow.modelserver.models import model_config
from tfs_workflow.modelserver.models.model_repository import LifecycleOptions, ModelRepository
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections
from tfs_workflow.modelserver.net.sockets import bound_socket
from tfs_workflow.modelserver.rest.rest_api import RestApi
from tfs_workflow.modelserver.rpc.grpc_service import GrpcApi
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.modelserver.tensorflow.session import Session
from tfs_workflow.modelserver.warmup import warm_up
from tfs_workflow.protos.model_server_config_pb2 import (
    BatchingParameters,
    ModelServerConfig,
    MonitoringConfig,
    SSLConfig,
)
from tfs_workflow.protos.session_pb2 import ConfigProto

_SERVER = "model_servers/server.cc"
_FAILED = 255
_DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"

# Containers made and still there, at which Python looks for cycles among them.
_GARBAGE_THRESHOLD = 20_000


def run(flags: Flags) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    if flags.version:
        sys.stdout.write(f"TensorFlow ModelServer: 2.20.0 (tfs-workflow)\nTensorFlow Library: {capi.version()}\n")
        return 0
    for argument in flags.unknown:
        log.warning("model_servers/main.cc", f"unknown argument: {argument}")
    for name in flags.meaningless:
        log.warning("model_servers/main.cc", f"--{name} has no meaning for the embedded server")
    if not flags.model_base_path and not flags.model_config_file:
        sys.stderr.write(usage("tensorflow_model_server"))
        return _FAILED
    # Until something is served there is nothing to finish.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        server = EmbeddedServer(flags)
        server.load()
    except StatusError as error:
        return _refuse(error)
    # A thread that computes in Python gives way to the event loop after this long, not after five milliseconds.
    sys.setswitchinterval(0.0001)
    # What is there stays; sixty requests under way are no reason to look for garbage, of which they leave little.
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    try:
        uvloop.run(server.serve())
    except StatusError as error:
        return _refuse(error)
    return 0


def _refuse(error: StatusError) -> int:
    log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
    return _FAILED


class EmbeddedServer:
    """The server of one process."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._config = session_config(flags)
        self._metrics_path = _metrics_path(flags)
        self._metrics = PrometheusMetrics() if self._metrics_path else Metrics()
        self._batching = _batching(flags)
        self._repository = ModelRepository(self._load, _lifecycle(flags))
        self._first_config = ModelServerConfig()

    def load(self) -> None:
        """Load the first models and return once each serves; raises StatusError."""
        self._first_config = self._model_config()
        self._repository.start(model_config.models_of(self._first_config))

    async def serve(self) -> None:
        """Answer requests until asked to end, then finish what is in work."""
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        flags = self._flags
        workers = Workers("request", flags.rest_api_num_threads, flags.max_waiting_requests)
        batcher = Batcher(self._batching, self._metrics, loop) if self._batching else None
        scheduler = Scheduler(workers, flags.rest_api_timeout_in_ms, batcher)
        limits = ConnectionLimits(
            max_body_bytes=flags.rest_api_max_body_bytes,
            large_body_bytes=LARGE_BODY_BYTES,
            max_connections=flags.rest_api_max_connections,
        )
        ports = [await self._start_grpc(scheduler, limits), await self._start_rest(scheduler, limits)]
        tasks = [loop.create_task(_sweep(ports))]
        if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
            tasks.append(loop.create_task(self._watch_config()))
        await ending.wait()
        for task in tasks:
            task.cancel()
        await self._drain(ports)

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
            servable = Servable(name, version, Session(path, tags, self._config))
        except StatusError:
            self._metrics.load(str(path), succeeded=False, latency_s=time.perf_counter() - started_s)
            raise
        self._metrics.load(str(path), succeeded=True, latency_s=time.perf_counter() - started_s)
        if flags.enable_model_warmup:
            try:
                warm_up(servable, path, flags.num_request_iterations_for_warmup)
            except StatusError:
                servable.session.close()
                raise
        return servable

    async def _start_grpc(self, scheduler: Scheduler, limits: ConnectionLimits) -> Connections[Any]:
        flags = self._flags
        as_content, health = flags.enable_serialization_as_tensor_content, flags.enable_grpc_healthcheck_service
        api = GrpcApi(self._repository, scheduler, self._metrics, as_content, health)
        path = flags.ssl_config_file
        tls = model_config.read_text_proto(path, SSLConfig()) if path else None
        return await grpc_listener.start(api, flags, limits, tls)

    async def _watch_config(self) -> None:
        """Read the configuration file again and again; one that is wrong leaves what is there."""
        loop = asyncio.get_running_loop()
        last = self._first_config
        while True:
            await asyncio.sleep(self._flags.model_config_file_poll_wait_seconds)
            try:
                read = await loop.run_in_executor(None, self._model_config)
                if read != last:
                    last = read
                    await loop.run_in_executor(None, self._repository.reload, model_config.models_of(read))
            except StatusError as error:
                log.error(_SERVER, f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error}")

    async def _start_rest(self, scheduler: Scheduler, limits: ConnectionLimits) -> Connections[Any]:
        flags = self._flags
        api = RestApi(
            self._repository, scheduler, self._metrics, flags.rest_api_enable_cors_support, self._metrics_path
        )
        connections = Connections(HttpConnection, api, limits)
        if flags.rest_api_port:
            await self._listen(connections)
        return connections

    async def _listen(self, connections: Connections[Any]) -> None:
        flags = self._flags
        if flags.rest_api_port == flags.port:
            log.error(
                _SERVER,
                "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
                "Skipped exporting HTTP/REST API.",
            )
            return
        address = f"localhost:{flags.rest_api_port}"
        try:
            listener = bound_socket(flags.bind_address, flags.rest_api_port)
            await asyncio.get_running_loop().create_server(connections, sock=listener, backlog=1024)
        except OSError as error:
            log.error(_SERVER, f"Failed to start HTTP Server at {address}: {error}")
            return
        log.info(_SERVER, f"Exporting HTTP/REST API at:{address} ...")

    async def _drain(self, ports: Sequence[Connections[Any]]) -> None:
        log.info(_SERVER, "Ending: no new requests; those in work are finished.")
        for connections in ports:
            connections.end()
        deadline_s = time.monotonic() + self._flags.drain_seconds
        while any(connections.is_busy for connections in ports) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.005)
        self._repository.stop()


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


async def _sweep(ports: Sequence[Connections[Any]]) -> None:
    while True:
        await asyncio.sleep(1)
        for connections in ports:
            connections.sweep()


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
