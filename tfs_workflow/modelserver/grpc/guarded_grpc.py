"""gRPC connections that want a bearer token; without --token_file none is made."""

from __future__ import annotations

from ngh2 import RequestReceived

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.grpc import grpc_framing
from tfs_workflow.modelserver.grpc.grpc_connection import GrpcConnection
from tfs_workflow.modelserver.status_error import StatusError

# Probes of orchestrators have no place for a secret, and their answers hold none.
_OPEN = b"/grpc.health.v1.Health/"
_MISSING = StatusError(Code.UNAUTHENTICATED, "This server wants a bearer token: authorization: Bearer TOKEN")
_WRONG = StatusError(Code.UNAUTHENTICATED, "The bearer token is not that of this server")


class GuardedGrpcConnection(GrpcConnection):
    """A connection that refuses a call without the token before its message is read."""

    __slots__ = ()

    def _begin(self, event: RequestReceived) -> None:
        fields = dict(event.headers)
        authorization = fields.get(b"authorization", b"")
        if self._connections.allows(authorization) or fields.get(b":path", b"").startswith(_OPEN):
            super()._begin(event)
            return
        headers = grpc_framing.HEADERS + grpc_framing.status_headers(_WRONG if authorization else _MISSING)
        self._session.send_response(event.stream_id, headers, end_stream=True)
