"""The connection to the Docker engine, and the one place where its errors become ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import ConnectionError as EngineConnectionError
from requests.exceptions import RequestException

from tfs_workflow.errors import ToolMissing, WorkflowError

ANSWER_TIMEOUT_S = 60


class EngineFailed(WorkflowError):
    """The engine answered with an error that no caller could explain better."""

    exit_code = 3


@dataclass
class Engine:
    """A Docker engine, reached through DOCKER_HOST or the current context like Docker's own command line."""

    timeout_s: int = ANSWER_TIMEOUT_S
    address: str = field(default="", init=False)

    @cached_property
    def client(self) -> docker.DockerClient:
        """A connected client; raises ToolMissing when no engine answers or it does not permit us."""
        with engine_errors("connect to the Docker engine"):
            # The engine is asked for its API version here, so a dead or forbidden socket shows at once.
            client = _open_client(self.timeout_s)
            self.address = client.api.base_url.replace("http+docker://localhost", "unix:///var/run/docker.sock")
            return client


def _open_client(timeout_s: int) -> docker.DockerClient:
    if os.environ.get("DOCKER_HOST"):
        return docker.from_env(timeout=timeout_s)
    client: docker.DockerClient = docker.from_context(timeout=timeout_s)
    return client


@contextmanager
def engine_errors(action: str) -> Iterator[None]:
    """Translate whatever docker-py raises during `action` into one of our errors."""
    try:
        yield
    except APIError as error:
        raise EngineFailed(
            f"the Docker engine refused to {action}",
            evidence=f"HTTP {error.status_code}: {error.explanation or error}",
            fix="see the engine's own log, for instance: journalctl -u docker",
        ) from error
    except (DockerException, RequestException, OSError) as error:
        raise _unreachable(action, error) from error


def _unreachable(action: str, error: Exception) -> ToolMissing:
    text = str(error)
    evidence = f"{_address()}: {_innermost(text)}"
    if "PermissionError" in text or "Permission denied" in text:
        return ToolMissing(
            f"not permitted to {action}",
            evidence=evidence,
            fix="add yourself to the engine's group (sudo usermod -aG docker $USER, then log in again), "
            "use a rootless engine, or set runtime: embedded",
        )
    lost = isinstance(error, EngineConnectionError) and "FileNotFoundError" not in text and "refused" not in text
    return ToolMissing(
        f"lost the Docker engine while trying to {action}" if lost else f"no Docker engine answers: cannot {action}",
        evidence=evidence,
        fix="start Docker (or point DOCKER_HOST or the docker context at a running engine), or set runtime: embedded",
    )


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or f"docker context {os.environ.get('DOCKER_CONTEXT', 'in use')}"


def _innermost(text: str) -> str:
    """The operating system's own words out of the nested exceptions that urllib3 and docker-py print."""
    found = re.search(r"Error\(\d+, '(?P<os>[^']*)'|\[Errno -?\d+\] (?P<net>[^\"')]*)", text)
    return (found["os"] or found["net"]) if found else text
