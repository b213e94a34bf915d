"""TLS and the token: whether the server that will run has them, and whether their files are good and private."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from tfs_workflow.checks.finding import Finding, failed, failure, ok
from tfs_workflow.client.access.credentials import read_token
from tfs_workflow.config.types import Config, Tls
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.own_keys import refused_keys

_CHECK = "configuration"


def access_findings(config: Config, runtime: str) -> Iterator[Finding]:
    """What `serve` would refuse of server.tls, server.token_file and server.fronts."""
    refused = list(refused_keys(config, runtime_kind(runtime)))
    for key, evidence, fix in refused:
        yield failure(f"{_CHECK}: {key}", evidence, fix, ConfigError)
    if refused:
        return
    if config.server.tls:
        yield from _tls(config.server.tls)
    if config.server.token_file:
        yield from _token(config.server.token_file)


def _tls(tls: Tls) -> Iterator[Finding]:
    check = f"{_CHECK}: server.tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        for path in (tls.certificate, tls.key):
            Path(path).read_bytes()  # OpenSSL's errors name no file
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except ssl.SSLError as error:
        fix = "give PEM files of one pair, the key without a password"
        evidence = f"{tls.certificate} cannot be used with {tls.key}: {error.reason or error}"
        yield failure(check, evidence, fix, ConfigError)
    except OSError as error:
        yield failure(check, f"{error.filename} cannot be read: {error.strerror}", "give a PEM file", ConfigError)
    else:
        yield from _private(f"{check}.key", tls.key)


def _token(path: str) -> Iterator[Finding]:
    check = f"{_CHECK}: server.token_file"
    try:
        read_token(path)
    except ConfigError as error:
        yield failed(check, error)
    else:
        yield from _private(check, path)


def _private(check: str, path: str) -> Iterator[Finding]:
    """A secret that its group may read is common, as for the group ssl-cert; others must not."""
    mode = stat.S_IMODE(Path(path).stat().st_mode)
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        evidence = f"{path} has mode {mode:04o}: other users can read or change it"
        yield failure(check, evidence, f"chmod 600 {path}", ConfigError)
    else:
        yield ok(check, f"{path} is good, and private")
