"""Caches a server's signatures, and converts arrays to fit them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tfs_workflow.client.interface import InvalidInputError, Metadata, ModelRef
from tfs_workflow.client.tensor_codec import fitted
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature

if TYPE_CHECKING:
    from tfs_workflow.client.interface import Array, Inputs

# The newest version and the version behind a label may change.
FRESH_S = 10.0


class SignatureCache:
    """Signatures by model and version: cached for FRESH_S, and for good where the version is given by number."""

    def __init__(self, metadata: Metadata, clock: Callable[[], float] = time.monotonic) -> None:
        self._metadata = metadata
        self._clock = clock
        self._cached: dict[ModelRef, tuple[float, Mapping[str, Signature]]] = {}

    def of(self, target: ModelRef) -> Signature:
        """The signature that a target names.

        Raises InvalidInputError, ServerUnreachableError or RequestRejectedError.
        """
        found = self._all(ModelRef(target.model, target.version, target.label))
        name = target.signature or DEFAULT_SIGNATURE
        if name not in found:
            raise InvalidInputError(f"there is no signature {name}", where=target.model)
        return found[name]

    def forget(self, target: ModelRef) -> None:
        """Drop the cached signatures of a target: the next call requests them again."""
        self._cached.pop(ModelRef(target.model, target.version, target.label), None)

    def _all(self, place: ModelRef) -> Mapping[str, Signature]:
        now = self._clock()
        since, found = self._cached.get(place, (now, None))
        if found is None or (place.version is None and now - since > FRESH_S):
            found = self._metadata(place.model, place.version, place.label)
            self._cached[place] = now, found
        return found


def fitted_inputs(inputs: Inputs, signature: Signature) -> dict[str, Array]:
    """Arrays in the types of a signature's inputs, by input name; raises InvalidInputError."""
    specs = signature.inputs
    if not isinstance(inputs, Mapping):
        if len(specs) != 1:
            raise InvalidInputError(f"expected arrays by input name ({', '.join(specs)}), got a single array")
        inputs = dict.fromkeys(specs, inputs)
    arrays = {}
    for name, value in inputs.items():
        if name not in specs:
            raise InvalidInputError(f"there is no input {name!r}")
        try:
            arrays[name] = fitted(value, specs[name])
        except InvalidInputError as error:
            raise InvalidInputError(f"input {name}: {error.what}") from error
    return arrays
