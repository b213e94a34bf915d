"""The gRPC services, on the event loop that REST runs on (prediction_service_impl.cc, model_service_impl.cc).

Inferences go through the scheduler like those of REST, with the client's own timeout in place of REST's. Queries about
a model run on a thread: a look at the repository may wait for its lock. A reload has an executor of its own with one
thread, since it returns only when the new models serve, which may take minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError, Message

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.exchange import GrpcReply, Watch
from tfs_workflow.modelserver.inference.scheduler import Scheduler, internal
from tfs_workflow.modelserver.inference.servable import Plan, Servable
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.modelserver.models.model_repository import ModelRepository
from tfs_workflow.modelserver.rpc import messages, request_template
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.health_pb2 import HealthCheckRequest, HealthCheckResponse
from tfs_workflow.protos.services import Method

# A message, the milliseconds that the client waits, and what takes the answer.
Handler = Callable[[bytes, int, GrpcReply], None]
Prepare = Callable[[Any], Plan[Any]]


class GrpcApi:
    """Answers gRPC requests. Messages stay bytes until where they are handled: a large one is parsed on a thread."""

    def __init__(
        self, repository: ModelRepository, scheduler: Scheduler, metrics: Metrics | None, as_content: bool, health: bool
    ) -> None:
        self._repository = repository
        self._scheduler = scheduler
        self._metrics = metrics
        # A template answers in value fields only.
        self._at_once_bytes = -1 if as_content else scheduler.at_once_bytes
        self._templates = request_template.RequestTemplates(repository.servable)
        find = messages.finder(repository)
        # The model of the last request, which the scheduler takes as the likely one of the next.
        self._last: Servable | None = None
        inferences: dict[Method, tuple[str, Prepare]] = {
            services.PREDICT: ("Predict", lambda request: messages.predict(find, request, as_content)),
            services.CLASSIFY: ("Classify", lambda request: messages.classify(find, request)),
            services.REGRESS: ("Regress", lambda request: messages.regress(find, request)),
            services.MULTI_INFERENCE: ("MultiInference", lambda request: messages.multi_inference(find, request)),
        }
        questions: dict[Method, Callable[[Any], Message]] = {
            services.GET_MODEL_METADATA: lambda request: messages.metadata(find, request),
            services.GET_MODEL_STATUS: lambda request: messages.model_status(repository, request),
            services.RELOAD_CONFIG: self._reload,
        }
        self._handlers: dict[bytes, Handler] = {}
        if health:
            questions[services.HEALTH_CHECK] = _health
            self._handlers[services.HEALTH_WATCH.path.encode()] = _watch_health
        for method, (name, prepare) in inferences.items():
            self._handlers[method.path.encode()] = partial(self._infer, method, name, prepare)
        for method, answer in questions.items():
            # Reloads wait for models to load, one after another; nothing else may wait for them.
            executor = ThreadPoolExecutor(1, "reload") if method is services.RELOAD_CONFIG else None
            self._handlers[method.path.encode()] = partial(self._ask, method, answer, executor)

    def __call__(self, path: bytes, content: bytes, timeout_ms: int, reply: GrpcReply) -> None:
        """Answer one call; `reply` gets a serialized message or a StatusError, on the event loop."""
        handler = self._handlers.get(path)
        if handler is None:
            reply(StatusError(Code.UNIMPLEMENTED, ""))
        else:
            handler(content, timeout_ms, reply)

    def _infer(  # noqa: PLR0913, PLR0917  # bound once for each method
        self, method: Method, name: str, prepare: Prepare, content: bytes, timeout_ms: int, reply: GrpcReply
    ) -> None:
        started_s = time.perf_counter()
        if method is services.PREDICT and len(content) <= self._at_once_bytes:
            answered = self._templates.predict(content)
            if answered is not None:
                servable, result = answered
                self._count(name, result, servable.name, started_s)
                reply(result)
                return
        asked = ""

        def plan() -> Plan[bytes]:
            nonlocal asked
            request = _parsed(method.request, content)
            asked = _model_name(request)
            made = prepare(request)
            self._last = made.servable
            return made.then(_serialized)

        def done(result: Any) -> None:
            self._count(name, result, asked, started_s)
            reply(result)

        # Which model it is for stands in the message; most likely the same as before.
        self._scheduler.submit(self._last, len(content), plan, done, timeout_ms)

    def _count(self, name: str, result: Any, model: str, started_s: float) -> None:
        if self._metrics is not None:
            code = result.code if isinstance(result, StatusError) else Code.OK
            self._metrics.request(model, "GRPC", name, code, time.perf_counter() - started_s)

    def _ask(  # noqa: PLR0913, PLR0917  # bound once for each method
        self,
        method: Method,
        answer: Callable[[Any], Message],
        executor: ThreadPoolExecutor | None,
        content: bytes,
        timeout_ms: int,
        reply: GrpcReply,
    ) -> None:
        loop = asyncio.get_running_loop()
        # The thread goes on; the connection drops its answer, as the stream has been answered.
        late = loop.call_later(timeout_ms / 1000, reply, _LATE) if timeout_ms else None

        def ask() -> bytes | StatusError:
            try:
                return _serialized(answer(_parsed(method.request, content)))
            except StatusError as error:
                return error
            except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
                return internal(error)

        def done(answered: asyncio.Future[bytes | StatusError]) -> None:
            if late is not None:
                late.cancel()
            reply(answered.result())

        loop.run_in_executor(executor, ask).add_done_callback(done)

    def _reload(self, request: apis.ReloadConfigRequest) -> apis.ReloadConfigResponse:
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported"
                )
            before = self._counts(request.metric_names)
            self._repository.reload(request.config)
        except StatusError as error:
            log.error("model_servers/model_service_impl.cc", f"ReloadConfig failed: {error.message}")
            raise
        metrics = [
            apis.Metric(name=name, int64_value_increase=count - before[name])
            for name, count in self._counts(request.metric_names).items()
        ]
        return apis.ReloadConfigResponse(status=apis.StatusProto(), metric=metrics)

    def _counts(self, names: Iterable[str]) -> dict[str, int]:
        return {name: 0 if self._metrics is None else self._metrics.count(name) for name in names}


def _model_name(request: Any) -> str:
    """The model that an inference asks for; empty where it names none."""
    if isinstance(request, apis.MultiInferenceRequest):
        return request.tasks[0].model_spec.name if request.tasks else ""
    return str(request.model_spec.name)


_LATE = StatusError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")


def _health(request: HealthCheckRequest) -> HealthCheckResponse:
    """The server answers only once everything is served, so that its services are either unknown or SERVING."""
    if request.service not in ("", services.PREDICTION_SERVICE, services.MODEL_SERVICE):
        raise StatusError(Code.NOT_FOUND, "")
    return HealthCheckResponse(status=HealthCheckResponse.SERVING)


def _watch_health(content: bytes, timeout_ms: int, reply: GrpcReply) -> None:  # noqa: ARG001  # the client ends it in time
    try:
        status = _health(_parsed(HealthCheckRequest, content))
    except StatusError as error:
        if error.code is not Code.NOT_FOUND:
            reply(error)
            return
        status = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
    reply(Watch(_serialized(status)))


def _parsed(request_type: Any, content: bytes) -> Any:
    try:
        return request_type.FromString(content)
    except DecodeError as error:
        raise StatusError(Code.INTERNAL, "Failed parsing request") from error


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
