"""TLS with one certificate for both ports (--tls_certificate_file, --tls_key_file)."""

from __future__ import annotations

import ssl

from tfs_workflow.modelserver.access.watched_files import WatchedFiles, read
from tfs_workflow.modelserver.status_error import invalid_argument


class Tls:
    """The settings of both ports; a certificate that is renewed on disk is that of the next connections."""

    def __init__(self, certificate: str, key: str) -> None:
        """Raises StatusError for files that cannot be read, or are no certificate with its key."""
        self._certificate, self._key = certificate, key
        self._files = WatchedFiles(certificate, key)
        # A gRPC client refuses a server that does not select h2 in the handshake.
        self.rest, self.grpc = server_context("http/1.1"), server_context("h2")
        self._load()

    def renew(self) -> None:
        """Read both files again where one has changed. Files that do not fit each other are logged."""
        self._files.renew(self._load)

    def _load(self) -> None:
        # The first one shows whether they can be used: a context that has refused them cannot be used any more.
        for context in (server_context(), self.rest, self.grpc):
            self._load_into(context)

    def _load_into(self, context: ssl.SSLContext) -> None:
        for path in (self._certificate, self._key):
            read(path)  # OpenSSL's errors name no file
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise invalid_argument(
                f"Cannot use the certificate {self._certificate} with the key {self._key}: {error}"
            ) from error


def server_context(*protocols: str) -> ssl.SSLContext:
    """TLS 1.2 and above, with these protocols to choose from."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context
