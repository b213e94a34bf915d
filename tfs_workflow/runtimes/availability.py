"""Whether this machine has what the process runtimes run, found without importing any of it."""

from __future__ import annotations

import importlib.util
import shutil

from tfs_workflow.errors import ToolMissingError

EMBEDDED_MODULES = ("tensorflow", "cffi", "numpy", "orjson", "httptools", "simdjson", "uvloop", "ngh2")


def require_embedded() -> None:
    """Raise ToolMissingError unless the embedded server's packages are installed; nothing is imported."""
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
