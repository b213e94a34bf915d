"""Whether one client's mistake can end the server: operations that end it on an input of another rank.

TensorFlow Serving checks no shapes (tensorflow/serving #1436), so that an image without its batch dimension reaches
such a kernel, which ends the process. Our own server refuses the request (modelserver/tensorflow/rank_guard.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tfs_workflow.checks.finding import Finding, warning
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.savedmodel import ONEDNN_VARIABLE, rank_checked_operation
from tfs_workflow.runtimes.spec import ModelSpec


def rank_findings(model: ModelSpec, environment: Mapping[str, str], *, restarts: bool) -> Iterator[Finding]:
    """A warning for each version with such an operation, unless something `restarts` the server.

    `environment` holds the server's own variables. Raises InvalidModelError or OSError for an unreadable base path.
    """
    for version in savedmodel.versions(model.base_path, model.flat_version).found:
        path = version.path / "saved_model.pb"
        content = path.read_bytes() if path.is_file() else b""
        operation = rank_checked_operation(content, environment.get(ONEDNN_VARIABLE, ""))
        if operation and not restarts:
            fix = (
                f'set server.environment: {{{ONEDNN_VARIABLE}: "0"}} (ResNet-50 is then 14 % slower), '
                "or server.restart: on-failure with runtime: docker"
            )
            evidence = f"{operation} ends the server on an input of another rank, such as one image without its batch"
            yield warning(f"model {model.name} v{version.number}: ranks", evidence, fix)
