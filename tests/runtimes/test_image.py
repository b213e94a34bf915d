"""The registry's and the engine's words, as recorded from Docker 20.10 to 28, led to the right kind of failure."""

from __future__ import annotations

import pytest

from tfs_workflow.errors import FetchFailedError, SourceUnreachableError
from tfs_workflow.runtimes.docker.image_pull import explained

PASSING = [
    "toomanyrequests: You have reached your pull rate limit.",
    "received unexpected HTTP status: 500 Internal Server Error",
    'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
    'Get "https://registry.example/v2/": net/http: request canceled (Client.Timeout exceeded while awaiting headers)',
    "unexpected EOF",
    "read tcp 10.0.0.2:5000->10.0.0.3:443: read: connection reset by peer",
]
LASTING = [
    ("manifest for nope:1 not found: manifest unknown: manifest unknown", "no such image"),
    ("unauthorized: authentication required", "refuses the image"),
    ("pull access denied for nope, repository does not exist or may require 'docker login'", "refuses the image"),
    ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "no space"),
    ("something new", "could not be pulled"),
]


@pytest.mark.parametrize("text", PASSING)
def test_what_may_pass_is_worth_another_try(text: str) -> None:
    assert isinstance(explained("nope:1", text), SourceUnreachableError)


@pytest.mark.parametrize(("text", "what"), LASTING)
def test_what_will_not_pass_is_told_with_its_evidence(text: str, what: str) -> None:
    error = explained("nope:1", text)
    assert isinstance(error, FetchFailedError)
    assert not isinstance(error, SourceUnreachableError)
    assert what in error.what
    assert text in str(error)
    assert error.fix
