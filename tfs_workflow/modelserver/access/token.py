"""The bearer token that requests must have (--token_file, RFC 6750).

Only its digest is kept, and digests are compared: neither the time of a comparison nor a dump of the memory tells
anything about it.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from tfs_workflow.modelserver.access.watched_files import WatchedFiles, read
from tfs_workflow.modelserver.status_error import invalid_argument


class Token:
    """The token in a file, which is read again when the file changes."""

    def __init__(self, path: str) -> None:
        """Raises StatusError for a file that cannot be read or holds no token."""
        self._path = path
        self._files = WatchedFiles(path)
        self._read()

    def _read(self) -> None:
        self._digest = _digest(self._path)

    def allows(self, authorization: bytes) -> bool:
        """Whether a field `Authorization`, or the metadata `authorization`, holds the token."""
        scheme, _, given = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(sha256(given.strip()).digest(), self._digest)

    def renew(self) -> bool:
        """Read the file again where it has changed; whether there is another token. A file without one is logged."""
        before = self._digest
        self._files.renew(self._read)
        return self._digest != before


def _digest(path: str) -> bytes:
    token = read(path).strip()
    if not token or not all(0x21 <= byte <= 0x7E for byte in token):
        raise invalid_argument(f"Invalid token file {path}: expected one line of printable ASCII without spaces")
    return sha256(token).digest()
