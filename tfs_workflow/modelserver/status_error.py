"""The one error that a request can end in: a TensorFlow status code with its message.

Below the protocols nothing has to distinguish REST from gRPC: whatever goes wrong is raised as this error. Each
protocol translates it once, REST in rest_api.py and gRPC in grpc_framing.py. Where TensorFlow Serving has a text for
the fault, the message is that text: clients and their tests match on it.
"""

from __future__ import annotations

from tfs_workflow.formats.status_codes import Code


class StatusError(Exception):
    """A request or a load that failed. Bytes that are no UTF-8 stay in the message as surrogate escapes."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """As TensorFlow prints a status: INVALID_ARGUMENT: the message."""
        return f"{self.code.name}: {self.message}"


class SilentError(StatusError):
    """An error that REST answers with a status and no body, as TensorFlow Serving does where it has not written any."""


def invalid_argument(message: str) -> StatusError:
    """The error for a request that cannot be right."""
    return StatusError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """The error for a model, version or file that is not there."""
    return StatusError(Code.NOT_FOUND, message)


def failed_precondition(message: str) -> StatusError:
    """The error for a request that the model or the configuration does not allow."""
    return StatusError(Code.FAILED_PRECONDITION, message)
