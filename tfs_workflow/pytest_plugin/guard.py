"""Serves for one process, and tears down when its stdin ends: the kernel closes it, however that process ended.

A `finally` in pytest would not run after a crash or a SIGKILL, and a server would stay. Run as
`python -m tfs_workflow.pytest_plugin.guard PLACE RUNTIME`; prints one JSON line when every model is AVAILABLE, or with
the error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any, get_args

from tfs_workflow.config.load import LoadedConfig, load
from tfs_workflow.config.values import RuntimeName
from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.model.implied_project import implied_document
from tfs_workflow.workflow.prepare import SetupOptions
from tfs_workflow.workflow.temporary_server import running_or_temporary


def main(place: str, runtime: str) -> int:
    """Serve until stdin ends; the exit code is that of the error."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tfs-pytest-") as directory:
        try:
            loaded = _loaded(place, runtime, Path(directory))
            # Not pinned: a test must not change the lock file, nor fail on a model that is being worked on.
            with running_or_temporary(loaded, TransferContext(), SetupOptions(pin=False)) as server:
                _say(_document(loaded, server))
                sys.stdin.read()
        except WorkflowError as error:
            _say({"error": str(error)})
            return error.exit_code
    return 0


def _loaded(place: str, runtime: str, directory: Path) -> LoadedConfig:
    """The configuration as a project of its own: a name, a workspace and ports that nothing else has."""
    if runtime not in (names := get_args(RuntimeName)):
        raise ConfigError(f"expected one of {', '.join(names)}, got {runtime!r}", where="tfs_runtime")
    own = {
        "project": f"pytest-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        "workspace": str(directory / "workspace"),
        "runtime": runtime,
        "server.rest_port": "auto",
        "server.grpc_port": "auto",
    }
    if not place.endswith((".yaml", ".yml")):
        path = directory / "tfs.yaml"
        path.write_text(json.dumps(implied_document(place, Path.cwd())))  # JSON is YAML as well
        place = str(path)
    return load(place, options=own)


def _document(loaded: LoadedConfig, server: ModelServer) -> dict[str, Any]:
    """The fields of a GuardedServer."""
    return {
        "rest_url": server.rest_url,
        "grpc_url": f"{'grpcs' if server.certificate else 'grpc'}://{server.grpc_target}",
        "models": list(loaded.config.models),
        "project": server.project,
        "runtime": server.runtime,
        "token_file": server.token_file,
        "certificate": server.certificate,
    }


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
