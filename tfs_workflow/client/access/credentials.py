"""What a client shows to a server, and which certificate of a server it trusts."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tfs_workflow.errors import ConfigError
from tfs_workflow.formats.bearer_token import token_in

TOKEN_FIX = "give the server's token: server.token_file in the YAML, or connect(…, token=…)"  # noqa: S105  # none
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Credentials:
    """A bearer token, empty for none, and the path of what is trusted over TLS, empty for the system's authorities.

    `certificate` is the server's own: this very one is trusted, whatever name it is for. `ca` is an authority's, and
    the server's name is checked.
    """

    token: str = field(default="", repr=False)
    certificate: str = ""
    ca: str = ""

    @property
    def fields(self) -> Mapping[str, str]:
        """The header of HTTP, or the metadata of gRPC, that shows the token."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    @cached_property
    def pem(self) -> str:
        """The server's own certificate, without those of the authorities behind it; raises ConfigError."""
        text = _read(self.certificate).decode("latin-1")
        start, end = text.find(_BEGIN), text.find(_END)
        if not 0 <= start < end:
            raise ConfigError("holds no certificate", where=self.certificate, fix="give a PEM file")
        return text[start : end + len(_END)] + "\n"

    @cached_property
    def authority(self) -> bytes:
        """The authority's certificate as PEM text; raises ConfigError."""
        content = _read(self.ca)
        if _BEGIN.encode() not in content:
            raise ConfigError("holds no certificate", where=self.ca, fix="give a PEM file")
        return content

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the server's own certificate, in hexadecimal digits; raises ConfigError."""
        try:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem)).hexdigest()
        except ValueError as error:
            raise ConfigError("holds no certificate", where=self.certificate, fix="give a PEM file") from error


NO_CREDENTIALS = Credentials()


def over_tls(connection: socket.socket, credentials: Credentials, protocol: str) -> socket.socket:
    """The connection over TLS, for a server whose own certificate is known; as it is without one.

    Raises OSError where the server shows another certificate; then the connection is closed.
    """
    if not credentials.certificate:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The fingerprint is all that counts: it says more than any chain and name.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    with ExitStack() as failure:
        failure.callback(connection.close)
        shown = context.wrap_socket(connection)
        failure.callback(shown.close)
        if hashlib.sha256(shown.getpeercert(binary_form=True) or b"").hexdigest() != credentials.fingerprint:
            raise ssl.SSLError("the server's certificate is not the expected one")
        failure.pop_all()
    return shown


def read_token(path: str) -> str:
    """The token in a file; raises ConfigError where it cannot be read or holds none."""
    try:
        return token_in(_read(path))
    except ValueError as error:
        raise ConfigError(
            "is no token file", where=path, evidence=str(error), fix=f"openssl rand -hex 32 > {path}"
        ) from error


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError("cannot be read", where=path, evidence=str(error.strerror)) from error
