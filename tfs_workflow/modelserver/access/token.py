"""The bearer token that requests must have (--token_file, RFC 6750).

Only its digest is kept, and digests are compared: neither the time of a comparison nor a dump of the memory tells
anything about it.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from tfs_workflow.formats.bearer_token import token_in
from tfs_workflow.modelserver.access.watched_files import WatchedFiles, read
from tfs_workflow.modelserver.status_error import invalid_argument


class Token:
    """The token in a file, which is read again when the file changes; `serial` counts how often it was another one."""

    def __init__(self, path: str) -> None:
        """Raises StatusError for a file that cannot be read or holds no token."""
        self._path = path
        self.serial = 0
        self._digest = b""
        self._files = WatchedFiles(path)
        self._read()

    def _read(self) -> None:
        digest = _digest(self._path)
        self.serial += digest != self._digest
        self._digest = digest

    def allows(self, authorization: bytes) -> bool:
        """Whether a field `Authorization`, or the metadata `authorization`, holds the token."""
        scheme, _, given = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return False
        digest = sha256(given.strip()).digest()
        if not hmac.compare_digest(digest, self._digest):
            # A client that has read a new file need not wait until this server looks at it again.
            self.renew()
        return hmac.compare_digest(digest, self._digest)

    def renew(self) -> None:
        """Read the file again where it has changed; one without a token is logged."""
        self._files.renew(self._read)


def _digest(path: str) -> bytes:
    try:
        return sha256(token_in(read(path)).encode()).digest()
    except ValueError as error:
        raise invalid_argument(f"Invalid token file {path}: {error}") from error
