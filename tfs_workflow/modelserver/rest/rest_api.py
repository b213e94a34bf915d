"""The REST API: paths, methods and answers (http_rest_api_handler.cc, http_rest_api_util.cc, http_server.cc).

Three candidates can answer a predict request, from the narrowest to the general one: small_request.py at once,
number_arrays.py as the fast candidate, json_request.py for everything. The narrow ones return None for a request that
they do not take. They must give the answers of the general one, which tests compare
(docs/decisions/0013-fast-paths.md).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

from tfs_workflow.formats.status_codes import HTTP_STATUS, Code
from tfs_workflow.modelserver.exchange import (
    CORS,
    HEALTH,
    HEALTHY,
    JSON,
    NOT_READY,
    READINESS,
    RETRY_AFTER,
    Body,
    Content,
    HttpReply,
    NumberArray,
    Request,
    Response,
    Shape,
    Shortcut,
    error_page,
)
from tfs_workflow.modelserver.inference import methods
from tfs_workflow.modelserver.inference.lanes import NUMBER_ARRAY_BYTES, prepared_call
from tfs_workflow.modelserver.inference.scheduler import Scheduler
from tfs_workflow.modelserver.inference.servable import Plan, Servable
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.modelserver.models.model_repository import ModelRepository
from tfs_workflow.modelserver.rest import (
    descriptions,
    examples,
    json_request,
    json_response,
    number_arrays,
    routes,
    small_request,
)
from tfs_workflow.modelserver.rest.routes import Route
from tfs_workflow.modelserver.status_error import SilentError, StatusError
from tfs_workflow.modelserver.tensorflow.session import SessionClosedError

General = Callable[[Route, Body], Plan[Content]]

_HTTP_ORIGIN = re.compile(rb"https?://")
# Routes by target are remembered, since matching takes three regular expressions. A client chooses its targets, so the
# memory is bounded; when it is full it is emptied, which costs one match for each target in use.
_MAX_ROUTES = 1024


class RestApi:
    """Answers requests; the application of the HTTP server, or of its fronts in processes of their own."""

    def __init__(  # noqa: PLR0913  # what the flags say of REST
        self,
        repository: ModelRepository,
        scheduler: Scheduler,
        metrics: Metrics | None,
        cors: bool,
        metrics_path: str,
        *,
        has_fronts: bool = False,
    ) -> None:
        self._has_fronts = has_fronts
        self._repository = repository
        self._scheduler = scheduler
        self._at_once_bytes = scheduler.at_once_bytes
        self._metrics = metrics
        self._headers = CORS if cors else b""
        self._metrics_path = metrics_path
        self._routes: dict[tuple[str, bytes], Route] = {}
        self._shortcuts: dict[Route, Shortcut] = {}
        self._general: dict[str, General] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }

    def __call__(self, request: Request, reply: HttpReply) -> None:
        """Answer one request; `reply` gets the response, at once or later, on the event loop."""
        route = self._routes.get((request.method, request.target)) or self._find_route(request)
        if route.action in self._general:
            self._infer(route, request, reply)
        else:
            reply(self._answer(route, request))

    def _find_route(self, request: Request) -> Route:
        route = routes.route_of(request.method, request.target, self._metrics_path)
        if route.action in ("predict", "classify", "regress", "status"):
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
                self._shortcuts.clear()
            self._routes[request.method, request.target] = route
        return route

    def _answer(self, route: Route, request: Request) -> Response:
        if route.action in ("400", "404"):
            return error_page(int(route.action))
        if route.action == "metrics":
            return self._metrics_page(route)
        if route.action in (HEALTH, READINESS):
            return HEALTHY if route.action == HEALTH or self._repository.is_ready() else NOT_READY
        started_s = time.perf_counter()
        response, code = self._preflight(request) if request.method == "OPTIONS" else self._described(route, request)
        if route.action != "overflow":
            self._count(route, started_s, code)
        return response

    def _preflight(self, request: Request) -> tuple[Response, Code]:
        allowed = _HTTP_ORIGIN.search(request.headers.get(b"origin", b""))
        code = Code.OK if allowed else Code.FAILED_PRECONDITION
        # libevent's own content type, for an answer that names none.
        return Response(HTTP_STATUS[code], b"", b"text/html; charset=ISO-8859-1", self._headers), code

    def _described(self, route: Route, request: Request) -> tuple[Response, Code]:
        try:
            return self._json(200, descriptions.describe(self._repository, route, request.method)), Code.OK
        except StatusError as error:
            return self._error(error), error.code

    def _infer(self, route: Route, request: Request, reply: HttpReply) -> None:
        body, started_s = request.body, time.perf_counter()
        # classify and regress have no fast candidates: their examples are parsed one value at a time.
        is_predict = route.action == "predict"
        if is_predict and len(body) <= self._at_once_bytes:
            response = self._predict_at_once(route, bytes(body))
            if response is not None:
                reply(response._replace(shortcut=self._shortcut(route)))
                return
        fast = partial(self._predict_plain, route, body) if is_predict else None
        general = partial(self._general[route.action], route, body)
        if self._has_fronts and is_predict and len(body) >= NUMBER_ARRAY_BYTES:
            # It may be followed by others of its kind, which a front can then read.
            shortcut = self._shortcut(route)._replace(respond=None)
            done = partial(self._finish_with, shortcut, route, started_s, reply)
        else:
            done = partial(self._finish, route, started_s, reply)
        self._scheduler.submit(self._likely(route), len(body), general, done, fast=fast)

    def _finish(self, route: Route, started_s: float, reply: HttpReply, result: Content | StatusError) -> None:
        reply(self._finished(route, started_s, result))

    def _finish_with(
        self, shortcut: Shortcut, route: Route, started_s: float, reply: HttpReply, result: Content | StatusError
    ) -> None:
        response = self._finished(route, started_s, result)
        reply(response._replace(shortcut=shortcut) if response.status == 200 else response)

    def _finished(self, route: Route, started_s: float, result: Content | StatusError) -> Response:
        """The response to an inference, which is counted."""
        self._count(route, started_s, result.code if isinstance(result, StatusError) else Code.OK)
        return self._error(result) if isinstance(result, StatusError) else self._json(200, result)

    def _count(self, route: Route, started_s: float, code: Code) -> None:
        if self._metrics is not None:
            api = route.action if route.action in self._general else ""
            self._metrics.request(route.name, "REST", api, code, time.perf_counter() - started_s)

    def _predict_at_once(self, route: Route, body: bytes) -> Response | None:
        """The response to a prediction of the commonest kind; None when it is another, or may not run at once."""
        started_s = time.perf_counter()
        servable = self._likely(route)
        call = None if servable is None else prepared_call(servable)
        if servable is None or call is None:
            return None
        try:
            result: Content | StatusError | None = small_request.predictions(servable, call, body)
        except SessionClosedError:
            return None
        except StatusError as error:
            result = error
        return None if result is None else self._finished(route, started_s, result)

    def _shortcut(self, route: Route) -> Shortcut:
        shortcut = self._shortcuts.get(route)
        if shortcut is None:
            shortcut = Shortcut(
                partial(self._predict_at_once, route),
                partial(self._run_floats, route),
                partial(self._run_array, route),
            )
            self._shortcuts[route] = shortcut
        return shortcut

    def _run_array(self, route: Route, array: NumberArray, reply: Callable[[Response | None], None]) -> None:
        """A large predict request whose numbers were read elsewhere."""
        started_s, servable = time.perf_counter(), self._likely(route)

        def prepare() -> Plan[Content]:
            plan = None if servable is None else number_arrays.plan_of(servable, array)
            if plan is None:
                raise number_arrays.UNFIT
            return plan

        def done(result: Content | StatusError) -> None:
            reply(None if result is number_arrays.UNFIT else self._finished(route, started_s, result))

        self._scheduler.submit(servable, len(array[3]), prepare, done, fast=prepare)

    def _run_floats(self, route: Route, shape: Shape, content: bytes) -> Response | None:
        """The same for numbers that were read elsewhere."""
        started_s = time.perf_counter()
        servable = self._likely(route)
        call = None if servable is None else prepared_call(servable)
        if servable is None or call is None:
            return None
        try:
            shape, content = servable.run_floats(call, shape, content)
            return self._finished(route, started_s, small_request.printed(call, shape, content))
        except SessionClosedError:
            return None
        except StatusError as error:
            return self._finished(route, started_s, error)

    def _likely(self, route: Route) -> Servable | None:
        try:
            return self._repository.servable(route.name, route.version, route.label)
        except StatusError:
            return None

    def _servable(self, route: Route) -> Servable:
        return self._repository.servable(route.name, route.version, route.label)

    def _predict_plain(self, route: Route, body: Body) -> Plan[Content] | None:
        servable = self._likely(route)
        return None if servable is None else number_arrays.plan(servable, body)

    def _predict(self, route: Route, body: Body) -> Plan[Content]:
        plan = self._predict_plain(route, body) if len(body) >= NUMBER_ARRAY_BYTES else None
        return self._predict_any(route, body) if plan is None else plan

    def _predict_any(self, route: Route, body: Body) -> Plan[Content]:
        # The version is looked up once and kept: types and run must be those of the same version.
        found: list[Servable] = []

        def input_types(signature_name: str) -> dict[str, int]:
            found.append(self._servable(route))
            return methods.input_types(found[0], signature_name)

        request = json_request.predict_inputs(body, input_types)
        plan = methods.predict(found[0], request.signature_name, request.tensors)
        return plan.then(lambda outputs: json_response.predictions(outputs, request.row_format))

    def _classify(self, route: Route, body: Body) -> Plan[Content]:
        name, serialized = examples.from_json(body)
        return methods.classify(self._servable(route), name, serialized).then(json_response.classifications)

    def _regress(self, route: Route, body: Body) -> Plan[Content]:
        name, serialized = examples.from_json(body)
        return methods.regress(self._servable(route), name, serialized).then(json_response.regressions)

    def _metrics_page(self, route: Route) -> Response:
        if self._metrics is None or route.path != self._metrics_path:
            text = f"Unexpected path: {route.path}. Should be {self._metrics_path}"
            return Response(400, text.encode(), b"text/plain")
        return Response(200, self._metrics.page(), b"text/plain")

    def _json(self, status: int, body: Content) -> Response:
        return Response(status, body, JSON, self._headers)

    def _error(self, error: StatusError) -> Response:
        unavailable = error.code is Code.UNAVAILABLE
        headers = self._headers + (RETRY_AFTER if unavailable else b"")
        # An error without a body is one that TensorFlow Serving returns before it writes any.
        body = b"" if isinstance(error, SilentError) else json_response.error(error)
        return Response(HTTP_STATUS[error.code], body, JSON, headers)
