"""From a git address to a served, health-checked TensorFlow Serving model and its predictions.

`connect("http://127.0.0.1:8501")` or `connect("grpc://127.0.0.1:8500")` gives a typed client with numpy arrays in and
out. A name of the API is imported when it is first used, so that `import tfs_workflow` costs nothing (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfs_workflow.client.connect import connect
    from tfs_workflow.client.interface import (
        Client,
        InvalidInputError,
        RequestRejectedError,
        ServerUnreachableError,
        State,
        VersionStatus,
    )
    from tfs_workflow.errors import (
        ConfigError,
        PredictionFailedError,
        ServerNotReadyError,
        ToolMissingError,
        WorkflowError,
    )
    from tfs_workflow.formats.savedmodel import Signature, TensorSpec

__version__ = "0.1.0"
__all__ = [
    "Client",
    "ConfigError",
    "InvalidInputError",
    "PredictionFailedError",
    "RequestRejectedError",
    "ServerNotReadyError",
    "ServerUnreachableError",
    "Signature",
    "State",
    "TensorSpec",
    "ToolMissingError",
    "VersionStatus",
    "WorkflowError",
    "__version__",
    "connect",
]

_HOMES = {
    "errors": ("ConfigError", "ServerNotReadyError", "PredictionFailedError", "ToolMissingError", "WorkflowError"),
    "formats.savedmodel": ("Signature", "TensorSpec"),
    "client.connect": ("connect",),
    "client.interface": (
        "Client",
        "InvalidInputError",
        "ServerUnreachableError",
        "RequestRejectedError",
        "State",
        "VersionStatus",
    ),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = found = getattr(import_module(f"{__name__}.{home}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
