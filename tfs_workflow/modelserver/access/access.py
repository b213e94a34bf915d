"""What the flags say of TLS and the token, read once before the server starts.

A server without them imports neither ssl nor protobuf for it: the parent of several processes stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.status_error import invalid_argument

if TYPE_CHECKING:
    import ssl

    from tfs_workflow.modelserver.access.tls import Tls
    from tfs_workflow.modelserver.access.token import Token

# ruff: noqa: PLC0415  # only what the flags ask for is imported


class Access(NamedTuple):
    """The TLS settings of each port, where it has any, the certificate that they are from, and the token."""

    grpc: ssl.SSLContext | None = None
    rest: ssl.SSLContext | None = None
    certificate: Tls | None = None
    token: Token | None = None


def access_of(flags: Flags) -> Access:
    """Who may ask, as the flags have it; raises StatusError when TLS or the token cannot be used."""
    token = None
    if flags.token_file:
        from tfs_workflow.modelserver.access.token import Token

        token = Token(flags.token_file)
    if not (flags.tls_certificate_file or flags.tls_key_file):
        return Access(grpc=_grpc_context(flags), token=token)
    if not (flags.tls_certificate_file and flags.tls_key_file):
        raise invalid_argument("--tls_certificate_file and --tls_key_file must be given together.")
    if flags.ssl_config_file:
        raise invalid_argument("--ssl_config_file is for gRPC alone and cannot be given with --tls_certificate_file.")
    from tfs_workflow.modelserver.access.tls import Tls

    both = Tls(flags.tls_certificate_file, flags.tls_key_file)
    return Access(both.grpc, both.rest, both, token)


def _grpc_context(flags: Flags) -> ssl.SSLContext | None:
    """The TLS settings of TensorFlow Serving's own flag, None without it."""
    if not flags.ssl_config_file:
        return None
    from tfs_workflow.modelserver.access import ssl_config
    from tfs_workflow.modelserver.models import model_config
    from tfs_workflow.protos.model_server_config_pb2 import SSLConfig

    config = model_config.read_text_proto(flags.ssl_config_file, SSLConfig())
    return ssl_config.context(config, flags.ssl_config_file)
