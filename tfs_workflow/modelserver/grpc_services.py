"""The gRPC services, on the event loop that REST runs on (prediction_service_impl.cc, model_service_impl.cc)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from tfs_workflow.modelserver import log, model_config, quick, rpc
from tfs_workflow.modelserver.dispatch import Dispatcher, internal
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.metrics import Metrics
from tfs_workflow.modelserver.repository import Repository
from tfs_workflow.modelserver.servable import Plan, Servable
from tfs_workflow.modelserver.session import SessionClosed
from tfs_workflow.modelserver.status import Code, StatusError, invalid_argument
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.model_server_config_pb2 import SSLConfig
from tfs_workflow.protos.services import Method

_SERVER = "model_servers/server.cc"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]

_PENDING = object()

Handler = Callable[[bytes, Any], Awaitable[bytes]]
Prepare = Callable[[Any], Plan[Any]]


class GrpcApi:
    """Answers gRPC requests. Messages stay bytes until where they are handled: a large one is parsed on a thread."""

    def __init__(self, repository: Repository, dispatcher: Dispatcher, metrics: Metrics, as_content: bool) -> None:
        self._repository = repository
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._as_content = as_content
        self._find = find = rpc.finder(repository)
        self._inferences: dict[Method, tuple[str, Prepare]] = {
            services.PREDICT: ("Predict", lambda request: rpc.predict(find, request, as_content)),
            services.CLASSIFY: ("Classify", lambda request: rpc.classify(find, request)),
            services.REGRESS: ("Regress", lambda request: rpc.regress(find, request)),
            services.MULTI_INFERENCE: ("MultiInference", lambda request: rpc.multi_inference(find, request)),
        }
        self._questions: dict[Method, Callable[[Any], Message]] = {
            services.GET_MODEL_METADATA: lambda request: rpc.metadata(find, request),
            services.GET_MODEL_STATUS: lambda request: rpc.model_status(repository, request),
            services.RELOAD_CONFIG: self._reload,
        }
        self._last: Servable | None = None

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """The services for a server."""
        by_service: dict[str, dict[str, Any]] = {}
        for method, (name, prepare) in self._inferences.items():
            by_service.setdefault(method.service, {})[method.name] = _unary(self._inference(method, name, prepare))
        for method, answer in self._questions.items():
            by_service.setdefault(method.service, {})[method.name] = _unary(self._question(method, answer))
        return [grpc.method_handlers_generic_handler(name, methods) for name, methods in by_service.items()]

    def _inference(self, method: Method, name: str, prepare: Prepare) -> Handler:
        request_type = method.request

        async def handle(content: bytes, context: Any) -> bytes:
            started_s = time.perf_counter()
            answer: asyncio.Future[Any] | None = None
            result = self._quick_answer(method, content)
            model = ""

            def plan() -> Plan[bytes]:
                nonlocal model
                request = _parsed(request_type, content)
                made = prepare(request)
                model, self._last = made.servable.name, made.servable
                return made.then(_serialized)

            def done(arrived: Any) -> None:
                nonlocal result
                if answer is None:
                    result = arrived
                elif not answer.done():  # the client may have gone
                    answer.set_result(arrived)

            if result is _PENDING:
                # Which model it is for stands in the message; most likely the same as before.
                self._dispatcher.submit(self._last, len(content), plan, done, _timeout_ms(context))
            if result is _PENDING:
                answer = asyncio.get_running_loop().create_future()
                result = await answer
            code = result.code if isinstance(result, StatusError) else Code.OK
            model = model or (self._last.name if self._last else "")
            self._metrics.request(model, "GRPC", name, code, time.perf_counter() - started_s)
            return await _answered(result, context)

        return handle

    def _quick_answer(self, method: Method, content: bytes) -> Any:
        """The answer to a few floats for a model that may run in place; _PENDING for anything else."""
        servable = self._last
        if method is not services.PREDICT or len(content) > quick.MOST_BYTES or servable is None:
            return _PENDING
        if self._as_content or self._dispatcher.batches or not servable.pace.is_quick:
            return _PENDING
        try:
            request = _parsed(apis.PredictRequest, content)
            servable = self._last = self._find(request.model_spec)
            response = rpc.quick_predict(servable, request) if servable.pace.is_quick else None
        except SessionClosed:
            return _PENDING
        except StatusError as error:
            return error
        return _PENDING if response is None else response.SerializeToString()

    def _question(self, method: Method, answer: Callable[[Any], Message]) -> Handler:
        # Reloads wait for models to load, one after another; nothing else may wait for them.
        executor = ThreadPoolExecutor(1, "reload") if method is services.RELOAD_CONFIG else None

        async def handle(content: bytes, context: Any) -> bytes:
            def ask() -> Any:
                try:
                    return _serialized(answer(_parsed(method.request, content)))
                except StatusError as error:
                    return error
                except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
                    return internal(error)

            return await _answered(await asyncio.get_running_loop().run_in_executor(executor, ask), context)

        return handle

    def _reload(self, request: apis.ReloadConfigRequest) -> apis.ReloadConfigResponse:
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument("ServerConfig type not supported by HandleReloadConfigRequest.")
            self._repository.reload(model_config.models_of(request.config))
        except StatusError as error:
            log.error("model_servers/model_service_impl.cc", f"ReloadConfig failed: {error.message}")
            return apis.ReloadConfigResponse(status=rpc.status_proto(error))
        return apis.ReloadConfigResponse(status=apis.StatusProto())


async def start(api: GrpcApi, flags: Flags) -> grpc.aio.Server:
    """Listen on the port and the socket that the flags name; raises StatusError when one cannot be had."""
    server = grpc.aio.server(options=_ANY_SIZE + _channel_arguments(flags.grpc_channel_arguments))
    server.add_generic_rpc_handlers(tuple(api.handlers()))
    if flags.enable_grpc_healthcheck_service:
        _add_health(server)
    addresses = [f"{flags.bind_address or '0.0.0.0'}:{flags.port}"] if flags.port else []  # noqa: S104  # as TensorFlow Serving
    addresses += [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
    credentials = _credentials(flags.ssl_config_file)
    for address in addresses:
        try:
            server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        except RuntimeError as error:
            raise invalid_argument(f"Failed to BuildAndStart gRPC server: {address}: {error}") from error
    await server.start()
    for address in addresses:
        log.info(_SERVER, f"Running gRPC ModelServer at {address} ...")
    return server


def _add_health(server: grpc.aio.Server) -> None:
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # noqa: PLC0415  # only where its flag is set

    servicer = health.aio.HealthServicer()
    for name in ("", services.PREDICTION_SERVICE, services.MODEL_SERVICE):
        servicer._server_status[name] = health_pb2.HealthCheckResponse.SERVING
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _unary(handler: Handler) -> Any:
    return grpc.unary_unary_rpc_method_handler(handler)


def _parsed(request_type: Any, content: bytes) -> Any:
    try:
        return request_type.FromString(content)
    except DecodeError as error:
        raise StatusError(Code.INTERNAL, "Failed parsing request") from error


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _timeout_ms(context: Any) -> int:
    """What is left of the client's patience; 0 without bound."""
    remaining_s = context.time_remaining()
    return 0 if remaining_s is None else max(int(remaining_s * 1000), 1)


async def _answered(result: Any, context: Any) -> bytes:
    if isinstance(result, StatusError):
        # TensorFlow Serving cuts messages at this length (grpc_status_util.cc).
        message = rpc.printable(result.message)[:1024]
        await context.abort(_CODES[int(result.code)], message)
    return result  # type: ignore[no-any-return]  # an error has left by raising


def _channel_arguments(text: str) -> list[tuple[str, Any]]:
    pairs = (argument.partition("=") for argument in text.split(",") if argument)
    return [(key, int(value) if value.lstrip("-").isdigit() else value) for key, _, value in pairs]


def _credentials(path: str) -> Any:
    if not path:
        return None
    config = model_config.read_text_proto(path, SSLConfig())
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
