"""HTTP connections that want a bearer token; without --token_file none is made."""

from __future__ import annotations

from tfs_workflow.modelserver.exchange import HEALTH, JSON, READINESS, Response
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.http.phases import HEAD

# Probes of orchestrators have no place for a secret, and their answers hold none.
_OPEN = {HEALTH.encode(), READINESS.encode()}
_TEXT = b'{\n    "error": "%s"\n}'
_MISSING = Response(
    401,
    _TEXT % b"This server wants a bearer token: Authorization: Bearer TOKEN",
    JSON,
    b"WWW-Authenticate: Bearer\r\n",
    closes=True,
)
_WRONG = Response(
    401,
    _TEXT % b"The bearer token is not that of this server",
    JSON,
    b'WWW-Authenticate: Bearer error="invalid_token"\r\n',
    closes=True,
)


class GuardedHttpConnection(HttpConnection):
    """A connection that refuses a request without the token once its head is there, and reads no body of it.

    A head that is repeated byte for byte was let in before (repeated_head.py).
    """

    __slots__ = ()

    def on_headers_complete(self) -> None:
        """All headers are there."""
        if self._phase is HEAD and self._target.partition(b"?")[0] not in _OPEN:
            authorization = self._headers.get(b"authorization", b"")
            if not self._connections.allows(authorization):
                self._reject(_WRONG if authorization else _MISSING)
                return
        super().on_headers_complete()

    def forget(self) -> None:
        """There is another token: a repeated head is no proof any more."""
        self._last = None
