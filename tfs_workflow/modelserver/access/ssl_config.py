"""The TLS settings of gRPC, from the SSLConfig message that --ssl_config_file names."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from tfs_workflow.modelserver.access.tls import server_context
from tfs_workflow.modelserver.status_error import invalid_argument
from tfs_workflow.protos.model_server_config_pb2 import SSLConfig


def context(config: SSLConfig, path: str) -> ssl.SSLContext:
    """The TLS settings of an SSLConfig, read from `path`; raises StatusError when they cannot be used."""
    made = server_context("h2")
    try:
        # OpenSSL reads a key from a file only; this one is ours alone and gone at once.
        with tempfile.TemporaryDirectory() as directory:
            key, certificate = Path(directory, "key"), Path(directory, "certificate")
            key.write_text(config.server_key)
            certificate.write_text(config.server_cert)
            made.load_cert_chain(certificate, key)
        if config.custom_ca:
            made.load_verify_locations(cadata=config.custom_ca)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise invalid_argument(f"Invalid SSL config file {path}: {error}") from error
    if config.client_verify:
        made.verify_mode = ssl.CERT_REQUIRED
    return made
