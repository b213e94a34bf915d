"""What is said of a request whose connection broke: the shapes that were sent, and what the signature expects.

Some of TensorFlow's kernels end the server on an input of another rank. A server that ended cannot explain itself, so
the client, which still holds the request, names both shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfs_workflow.client.interface import ModelRef
from tfs_workflow.errors import PredictionFailedError, WorkflowError
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature
from tfs_workflow.formats.signature_text import expectation

BROKEN = "the connection broke before the answer was complete"
BROKEN_FIX = "see invoke status and invoke logs: the server may have ended"


class ConnectionBrokenError(PredictionFailedError):
    """The server closed the connection before its response was complete."""

    # Whether the fix says what the signature expects.
    has_expectation = False


def json_shapes(instances: list[Any] | None, inputs: Any) -> dict[str, tuple[int, ...]]:
    """Input name to the shape of its JSON value, from the first element of each list; "" for a bare value."""
    if instances is None:
        columns = inputs if isinstance(inputs, Mapping) else {"": inputs}
        return {name: _shape(value) for name, value in columns.items()}
    first = instances[0] if instances else None
    rows = first if isinstance(first, Mapping) and "b64" not in first else {"": first}
    return {name: (len(instances), *_shape(value)) for name, value in rows.items()}


def add_shapes(error: WorkflowError, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Add the shapes that were sent to the error's evidence."""
    sent = ", ".join(f"{name} {shape}".strip() for name, shape in shapes.items())
    error.evidence = f"{error.evidence}; sent: {sent}"


def add_expectation(error: ConnectionBrokenError, target: ModelRef, signatures: Mapping[str, Signature]) -> None:
    """Put what the signature expects before the error's fix."""
    error.has_expectation = True
    expected = expectation(target.model, target.signature or DEFAULT_SIGNATURE, signatures)
    error.fix = f"{expected}; {error.fix}"


def _shape(value: Any) -> tuple[int, ...]:
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)
