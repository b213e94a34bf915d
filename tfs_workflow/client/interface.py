"""The interface of every client of a model server: its methods, results and errors, for each transport."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import PredictionFailedError, ServerNotReadyError
from tfs_workflow.formats.model_kinds import DROPPED_FIX, DROPPED_KERNELS, EXPORT_FIX, LIBRARIES_FIX
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature
from tfs_workflow.formats.signature_text import expectation

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Self

    Array = npt.NDArray[Any]
    # Arrays by input name; a bare one where the signature has a single input.
    Inputs = Mapping[str, npt.ArrayLike] | npt.ArrayLike

CONNECT_TIMEOUT_S = 5.0
STATUS_TIMEOUT_S = 5.0
PREDICT_TIMEOUT_S = 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class State(Enum):
    """The states of a servable version (get_model_status.proto)."""

    UNKNOWN = "UNKNOWN"
    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class VersionStatus:
    """One version as the server reports it; the error is that of its last load, OK and empty without one."""

    version: int
    state: State
    error_code: str = "OK"
    error_message: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the version ended with an error, not by being unloaded."""
        return self.state is State.END and self.error_code != "OK"


@dataclass(frozen=True)
class ServerCertificate:
    """How to trust one server's TLS: its own certificates as PEM text, and the name that they are for."""

    roots: bytes
    name: str = ""


@dataclass(frozen=True)
class ModelRef:
    """The target of a request: a model, a version by number or label, and a signature."""

    model: str
    version: int | None = None
    label: str | None = None
    signature: str | None = None


class ServerUnreachableError(ServerNotReadyError):
    """No server listens at the address, or the listener closes the connection: it is starting, or has ended."""


class RequestRejectedError(PredictionFailedError):
    """The server rejected a request: `server_text` is the text of its error.

    `status` is the HTTP status; over gRPC, the status that TensorFlow Serving returns for the same error over REST.
    """

    def __init__(self, server_text: str, status: int, *, where: str = "", evidence: str = "", fix: str = "") -> None:
        super().__init__(server_text, where=where, evidence=evidence or f"HTTP {status}", fix=fix)
        self.server_text = server_text
        self.status = status


class InvalidInputError(RequestRejectedError):
    """The client rejected a request before sending it: its values do not fit the signature."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what, 400, where=where, evidence="found before the request was sent", fix=fix)


class Client(Protocol):
    """A typed client of one model server, with numpy arrays in and out; `connect` makes one.

    Several threads may share it. Without version and label, a request goes to the newest served version.
    """

    def status(self, model: str, version: int | None = None, label: str | None = None) -> list[VersionStatus]:
        """The versions of a model as the server lists them, newest first; empty for an unknown model."""

    def metadata(self, model: str, version: int | None = None, label: str | None = None) -> dict[str, Signature]:
        """Signature name to signature of a served version; raises ServerUnreachableError or RequestRejectedError."""

    def predict(  # noqa: PLR0913  # a request's own parts, by name
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Array]:
        """Output name to array, for arrays by input name or for the one array of a signature with a single input.

        The first dimension is the batch where the model has one. Values are converted to the signature's types where
        the conversion loses nothing; strings are object arrays of bytes, bfloat16 is float32. Raises
        ServerUnreachableError, PredictionFailedError when no response arrives in time, and RequestRejectedError with
        the server's text and what the signature expects.
        """

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class JsonClient(Protocol):
    """A client with JSON in and out, as `predict` streams it; several threads may share it."""

    def metadata(self, model: str, version: int | None = None, label: str | None = None) -> dict[str, Signature]:
        """Signature name to signature of a served version."""

    def predict_rows(self, target: ModelRef, rows: Sequence[bytes]) -> list[Any]:
        """One prediction for each row, a JSON text; raises RequestRejectedError without what the signature expects."""

    def predict_document(self, target: ModelRef, document: JsonRequest) -> Any:
        """The predictions or outputs for one request; RequestRejectedError carries what the signature expects."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


_COLUMNS = "use the column format, --inputs"
# Errors that do not depend on what the signature expects, by TensorFlow's and TensorFlow Serving's texts: a model that
# was loaded without its variables (resource_variable_ops.cc, executor.cc), a time limit (http_rest_api_handler.cc), a
# batch that is too large, and inputs that cannot be batched (batching_session.cc).
_OF_ITSELF = (
    (r"Could not find variable|that the variable was uninitialized", EXPORT_FIX),
    (
        r"Attempting to use uninitialized value",
        "export the model again, with every variable restored or initialized and given to the Saver",
    ),
    (f"No OpKernel was registered to support Op '{DROPPED_KERNELS}'", DROPPED_FIX),
    (r"Op type not registered", LIBRARIES_FIX),
    (
        r"Timed out",
        "send fewer rows a request, or give the server more time: "
        "server.flags: {rest_api_timeout_in_ms: …}, 30000 unless set",
    ),
    (
        r"larger than maximum input batch size (\d+)",
        r"send at most \1 rows a request, as predict --input does, or raise server.batching.max_batch_size",
    ),
    (
        r"must have at least one (dimension|input tensor)",
        "batching needs inputs with a row for each instance, which this signature lacks: remove server.batching",
    ),
)
# Errors whose next step comes before what the signature expects (json_tensor.cc).
_WITH_SIGNATURE = (
    (
        r"no shape information|Batched output tensor has",
        f"this signature's output has no row for each instance: {_COLUMNS}",
    ),
    (
        r"Expecting tensor size|Encountered list at unexpected size|rows differ in shape",
        "the rows differ in length: pad them to one shape, or send each in a request of its own",
    ),
    (r"Failed to get input map", "over REST it cannot be called: use gRPC, --transport grpc --inputs '{}'"),
)
Metadata = Callable[[str, int | None, str | None], Mapping[str, Signature]]


def explain(error: RequestRejectedError, target: ModelRef, metadata: Metadata, *, rows: bool = False) -> None:
    """Add the next step to the error: that of its text, and what the signature expects where that matters.

    `rows` is whether the request was in row format.
    """
    if step := _step(_OF_ITSELF, error.server_text):
        error.fix = step
        return
    try:
        signatures = metadata(target.model, target.version, target.label)
    except (ServerNotReadyError, PredictionFailedError):
        error.fix = error.fix or "invoke status shows the models and versions that are served"
        return
    name = target.signature or DEFAULT_SIGNATURE
    step = _step(_WITH_SIGNATURE, error.server_text) or (_scalar_step(signatures.get(name)) if rows else "")
    error.fix = "; ".join(filter(None, [step or error.fix, expectation(target.model, name, signatures)]))


def _step(steps: Sequence[tuple[str, str]], text: str) -> str:
    found = ((re.search(pattern, text), step) for pattern, step in steps)
    return next((match.expand(step) for match, step in found if match), "")


def _scalar_step(signature: Signature | None) -> str:
    """The next step where the signature takes a scalar: the row format sends one for each row."""
    scalars = [name for name, tensor in signature.inputs.items() if tensor.shape == ()] if signature else []
    return f"the input {scalars[0]} is a scalar, not one for each row: {_COLUMNS}" if scalars else ""
