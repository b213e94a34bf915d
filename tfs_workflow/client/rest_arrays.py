"""numpy arrays over REST: JSON on the wire, types from the model's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tfs_workflow.client.access.credentials import NO_CREDENTIALS, Credentials
from tfs_workflow.client.interface import (
    PREDICT_TIMEOUT_S,
    InvalidInputError,
    ModelRef,
    RequestRejectedError,
    VersionStatus,
    explain,
)
from tfs_workflow.client.json_codec import from_json, to_request
from tfs_workflow.client.lost_request import ConnectionBrokenError, add_expectation
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.client.signature_cache import SignatureCache, fitted_inputs
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature, TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfs_workflow.client.interface import Array, Inputs


class RestArrayClient:
    """A `Client` over REST; types that JSON cannot carry (float16, complex) are rejected with a hint to use gRPC."""

    def __init__(
        self, rest_url: str, timeout_s: float = PREDICT_TIMEOUT_S, credentials: Credentials = NO_CREDENTIALS
    ) -> None:
        self._rest = RestJsonClient(rest_url, timeout_s, credentials)
        self._signatures = SignatureCache(self._rest.metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def status(self, model: str, version: int | None = None, label: str | None = None) -> list[VersionStatus]:
        """The versions of a model, newest first; see `Client`."""
        return self._rest.status(model, version, label)

    def metadata(self, model: str, version: int | None = None, label: str | None = None) -> dict[str, Signature]:
        """Signature name to signature; see `Client`."""
        return self._rest.metadata(model, version, label)

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
        """Output name to array; see `Client`."""
        target = ModelRef(model, version, label, signature)
        try:
            specs = self._signatures.of(target)
            arrays = fitted_inputs(inputs, specs)
            columns = {name: to_request(array, specs.inputs[name]) for name, array in arrays.items()}
        except RequestRejectedError as error:
            explain(error, target, self.metadata)
            raise
        try:
            answer = self._rest.predict(
                model, inputs=columns, version=version, label=label, signature=signature, timeout_s=timeout_s
            )
            return self._restored(answer, target)
        except PredictionFailedError as error:
            self._signatures.forget(target)
            if isinstance(error, ConnectionBrokenError):
                add_expectation(error, target, {target.signature or DEFAULT_SIGNATURE: specs})
            raise

    def _restored(self, answer: Any, target: ModelRef) -> dict[str, Array]:
        """The outputs as arrays; a response that does not fit the cached signature is read with a fresh one."""
        try:
            return _arrays(answer, self._signatures.of(target))
        except InvalidInputError:
            self._signatures.forget(target)
        try:
            return _arrays(answer, self._signatures.of(target))
        except InvalidInputError as error:
            raise PredictionFailedError(
                f"the answer does not fit the signature: {error.what}", where=target.model
            ) from error


def _arrays(answer: Any, signature: Signature) -> dict[str, Array]:
    specs = signature.outputs
    if len(specs) == 1:
        answer = dict.fromkeys(specs, answer)
    if not isinstance(answer, Mapping) or answer.keys() != specs.keys():
        raise InvalidInputError(f"expected the outputs {', '.join(specs)}")
    return {name: _array(answer[name], spec) for name, spec in specs.items()}


def _array(value: Any, spec: TensorSpec) -> Array:
    array = from_json(value, spec)
    if array.size == 0 and spec.shape is not None and array.ndim != len(spec.shape):
        # An empty list has no columns to count: the shape comes from the signature.
        return array.reshape([max(size, 0) for size in spec.shape])
    return array
