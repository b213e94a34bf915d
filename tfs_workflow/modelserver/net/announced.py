"""Once the end is announced, readiness and gRPC's health say so; everything else is served as before."""

from __future__ import annotations

from tfs_workflow.modelserver.exchange import NOT_READY, READINESS, GrpcApp, GrpcReply, HttpApp, HttpReply, Request

LOGGED = "The end is announced: not ready for new clients; everything is still served."
_HEALTH_CHECK = b"/grpc.health.v1.Health/Check"
# A HealthCheckResponse whose status is NOT_SERVING.
_NOT_SERVING = b"\x08\x02"


def http_app(app: HttpApp) -> HttpApp:
    """The application, with a readiness that refuses."""

    def answer(request: Request, reply: HttpReply) -> int | None:
        if request.target.partition(b"?")[0] == READINESS.encode() and request.method in ("GET", "HEAD"):
            reply(NOT_READY)
            return None
        return app(request, reply)

    return answer


def grpc_app(app: GrpcApp) -> GrpcApp:
    """The application, with a health that is NOT_SERVING."""

    def answer(path: bytes, message: bytes, timeout_ms: int, reply: GrpcReply) -> int | None:
        if path == _HEALTH_CHECK:
            reply(_NOT_SERVING)
            return None
        return app(path, message, timeout_ms, reply)

    return answer
