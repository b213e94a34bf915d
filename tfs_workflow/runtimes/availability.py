"""Whether this machine has what the process runtimes run, found without importing any of it.

`runtime: auto` needs this answer on every setup, and most setups have nothing else to do. Importing TensorFlow takes
seconds, and docker-py as long as all other imports together. So a module's presence is read from the import path, and
an engine's from a connection that is closed at once. The answer is a first guess: what fails later fails with its own
error.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from urllib.parse import urlsplit

from tfs_workflow.errors import ToolMissingError

EMBEDDED_MODULES = ("tensorflow", "cffi", "numpy", "orjson", "httptools", "simdjson", "uvloop", "ngh2")


# A local engine accepts a connection at once; a setup should not wait for one elsewhere that is switched off.
ENGINE_TIMEOUT_S = 0.1
DEFAULT_ENGINE = "unix:///var/run/docker.sock"


def require_embedded() -> None:
    """Raise ToolMissingError unless the embedded server's packages are installed; nothing is imported.

    The fix in the error is the extra that installs them.
    """
    missing = [n for n in EMBEDDED_MODULES if importlib.util.find_spec(n) is None]
    if missing:
        raise ToolMissingError(
            f"the embedded server needs packages that are not installed: {', '.join(missing)}",
            fix="pip install 'tfs-workflow[embedded]'",
        )


def native_binary(command: str) -> str:
    """The path of a tensorflow_model_server on this machine; raises ToolMissingError when there is none."""
    found = shutil.which(command)
    if found is None:
        raise ToolMissingError(
            f"no {command} on this machine", where="server.native_binary", fix="install it, or take another runtime"
        )
    return found


def require_engine_socket() -> None:
    """Raise ToolMissingError where no engine listens on the default socket or on the one that DOCKER_HOST names.

    docker-py is not imported. Passes for an address of another kind and for a docker context, which docker-py reads.
    """
    address = urlsplit(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    if address.scheme != "unix" or (not os.environ.get("DOCKER_HOST") and _has_context()):
        return
    try:
        _connect(address.path)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise no_engine("connect to the Docker engine", f"{address.path}: {error.strerror}") from error
    except OSError:  # a socket that is not permitted, or silent: docker-py finds out which
        return


def no_engine(action: str, evidence: str) -> ToolMissingError:
    """The error for an engine that is not there; `action` completes "cannot …"."""
    return ToolMissingError(
        f"no Docker engine answers: cannot {action}",
        evidence=evidence,
        fix="start Docker (or point DOCKER_HOST or the docker context at a running engine), or set runtime: embedded",
    )


def _has_context() -> bool:
    """Whether a docker context may name the engine: by variable, or by the client's own configuration file."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111
    return bool(os.environ.get("DOCKER_CONTEXT")) or os.path.exists(f"{directory}/config.json")  # noqa: PTH110


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(ENGINE_TIMEOUT_S)
        engine.connect(path)


def engine_listens() -> bool:
    """Whether something listens where a Docker engine would; docker-py is not imported, and nothing is sent.

    Without DOCKER_HOST the default socket is tried; a docker context is not read, since that needs docker-py.
    """
    address = urlsplit(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    try:
        if address.scheme == "unix":
            _connect(address.path)
        else:
            socket.create_connection((address.hostname or "", address.port or 2375), ENGINE_TIMEOUT_S).close()
    except OSError:
        return False
    return True
