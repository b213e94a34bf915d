"""The connections of a REST client: which server they trust, and the token that they show."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from tfs_workflow.client.access.credentials import Credentials
from tfs_workflow.client.interface import LOOPBACK

MAX_CONNECTIONS = 16


def rest_session(rest_url: str, credentials: Credentials) -> requests.Session:
    """A session for the server at this address; raises ConfigError where the certificate to trust cannot be used."""
    session = requests.Session()
    # A proxy is for addresses outside: requests to this machine bypass it.
    session.trust_env = urlsplit(rest_url).hostname not in LOOPBACK
    session.auth = _Bearer(credentials)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(credentials))
    return session


def verification(credentials: Credentials) -> bool | str:
    """What to give with each request as `verify`: the environment goes before that of a session. Raises ConfigError."""
    if credentials.certificate:
        return False  # this very certificate is recognised by its fingerprint
    return credentials.ca if credentials.ca and credentials.authority else True


class _Bearer(AuthBase):
    """Shows the token; a header of the session would give way to an entry in ~/.netrc."""

    def __init__(self, credentials: Credentials) -> None:
        self._fields = credentials.fields

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._fields)
        return request


class _Adapter(HTTPAdapter):
    """Connections that trust the one certificate, where one is given."""

    def __init__(self, credentials: Credentials) -> None:
        self._fingerprint = credentials.fingerprint if credentials.certificate else None
        super().__init__(pool_maxsize=MAX_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As of the base class."""
        super().init_poolmanager(*args, assert_fingerprint=self._fingerprint, **kwargs)
