"""The connection to the Docker engine, and the one place where its errors become ours.

docker-py raises errors of its own, of requests, of urllib3 and of the operating system, nested in each other. A user
needs one of four answers: it refused, it is not permitted, it is silent, or it is not there. `engine_errors` is the
only place that decides between them, by type first and by text where types do not differ.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import ChunkedEncodingError, JSONDecodeError, RequestException
from requests.exceptions import ConnectionError as EngineConnectionError

from tfs_workflow.errors import ToolMissingError, WorkflowError
from tfs_workflow.runtimes.availability import no_engine

ANSWER_TIMEOUT_S = 60
# An engine answers a query for its version at once; one that does not will not do anything else either.
VERSION_TIMEOUT_S = 10


class EngineFailedError(WorkflowError):
    """The engine answered with an error that no caller could explain better."""

    exit_code = 3


@dataclass
class Engine:
    """A Docker engine, reached through DOCKER_HOST or the current context like Docker's own command line."""

    timeout_s: int = ANSWER_TIMEOUT_S
    address: str = field(default="", init=False)

    @cached_property
    def client(self) -> docker.DockerClient:
        """A connected client; raises ToolMissingError when no engine answers or it does not permit us."""
        with engine_errors("connect to the Docker engine"):
            # This queries the engine for its API version, so a dead or forbidden socket shows at once.
            client = _open_client(self.timeout_s)
            self.address = client.api.base_url.replace("http+docker://localhost", "unix:///var/run/docker.sock")
            return client

    def processors(self) -> int:
        """The number of the engine's processors, 0 where it does not report one; raises as `client` does."""
        with engine_errors("query the engine"):
            return int(self.client.info().get("NCPU") or 0)


def _open_client(timeout_s: int) -> docker.DockerClient:
    version_timeout_s = min(timeout_s, VERSION_TIMEOUT_S)
    if os.environ.get("DOCKER_HOST"):
        client: docker.DockerClient = docker.from_env(timeout=version_timeout_s)
    else:
        client = docker.from_context(timeout=version_timeout_s)
    # Only the first query has the short timeout: stopping a container or creating one may take longer.
    client.api.timeout = timeout_s
    return client


@contextmanager
def engine_errors(action: str) -> Iterator[None]:
    """Translate whatever docker-py raises during `action` into one of our errors.

    `action` completes the sentence "the Docker engine refused to …". Raises EngineFailedError, with the engine's own
    words, and ToolMissingError.
    """
    try:
        yield
    except APIError as error:
        raise EngineFailedError(
            f"the Docker engine refused to {action}",
            evidence=f"HTTP {error.status_code}: {error.explanation or error}",
            fix="see the engine's own log, for instance: journalctl -u docker",
        ) from error
    except (DockerException, RequestException, OSError) as error:
        raise _unreachable(action, error) from error


def _unreachable(action: str, error: Exception) -> ToolMissingError:
    text = str(error)
    evidence = f"{_address()}: {_innermost(text)}"
    if "PermissionError" in text or "Permission denied" in text:
        return ToolMissingError(
            f"not permitted to {action}",
            evidence=evidence,
            fix="add yourself to the engine's group (sudo usermod -aG docker $USER, then log in again), "
            "use a rootless engine, or set runtime: embedded",
        )
    if "timed out" in text:
        return ToolMissingError(
            f"the Docker engine says nothing: cannot {action}",
            evidence=evidence,
            fix="see whether docker info answers, restart the engine if not, then run it again; "
            "or set runtime: embedded",
        )
    missing = no_engine(action, evidence)
    if _is_cut_off(error, text):
        return ToolMissingError(f"lost the Docker engine while trying to {action}", evidence=evidence, fix=missing.fix)
    return missing


def _is_cut_off(error: Exception, text: str) -> bool:
    """Whether an engine was there and went away in the middle of its answer."""
    if isinstance(error, (ChunkedEncodingError, JSONDecodeError)):
        return True
    return isinstance(error, EngineConnectionError) and "FileNotFoundError" not in text and "refused" not in text


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or f"docker context {os.environ.get('DOCKER_CONTEXT', 'in use')}"


def _innermost(text: str) -> str:
    """The operating system's own words out of the nested exceptions that urllib3 and docker-py print."""
    found = re.search(r"Error\(\d+, '(?P<os>[^']*)'|\[Errno -?\d+\] (?P<net>[^\"')]*)", text)
    return (found["os"] or found["net"]) if found else text
