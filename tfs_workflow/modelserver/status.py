"""The one error that a request can end in: a TensorFlow status code with its message."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """TensorFlow's error codes, which are gRPC's too (tsl/protobuf/error_codes.proto)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# ToHTTPStatusCode in tensorflow_serving/model_servers/http_server.cc.
HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class StatusError(Exception):
    """A request or a load that failed. Bytes that are no UTF-8 stay in the message as surrogate escapes."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """As TensorFlow prints a status: INVALID_ARGUMENT: the message."""
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> StatusError:
    """The error for a request that cannot be right."""
    return StatusError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """The error for a model, version or file that is not there."""
    return StatusError(Code.NOT_FOUND, message)


def failed_precondition(message: str) -> StatusError:
    """The error for a request that the model or the configuration does not allow."""
    return StatusError(Code.FAILED_PRECONDITION, message)
