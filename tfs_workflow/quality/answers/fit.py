"""Checks a response against the signature alone: outputs, types, shapes, and that numbers are finite.

This is what can be said of a request whose right answer nobody has recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfs_workflow.formats.base64_json import is_base64
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.formats.signature_text import dtype_name, shape_text
from tfs_workflow.quality.answers.comparison import Comparison, Difference
from tfs_workflow.quality.answers.outputs import is_number, shape_of


def fit(got: Mapping[str, Any], signature: Signature, rows: int | None) -> Comparison:
    """What of the outputs does not fit the signature; `rows` is the number of rows that were sent, where it is known.

    Of classification and regression, only the numbers are checked.
    """
    found = Comparison()
    declared = {} if "results" in got else signature.outputs
    for name in dict.fromkeys((*declared, *got)):
        if name not in got:
            found.add(Difference(name, (), "an output", "none", what="output"))
            continue
        for difference in _misfits(name, got[name], declared.get(name), rows):
            found.add(difference)
    return found


def _misfits(name: str, values: Any, spec: TensorSpec | None, rows: int | None) -> Iterator[Difference]:
    if spec is not None and not _is_shape(shape := shape_of(values), spec, rows):
        yield Difference(name, (), shape_text(spec), list(shape), what="shape")
    for index, leaf in _leaves(values, ()):
        if spec is not None and not _is_type(leaf, spec):
            yield Difference(name, index, dtype_name(spec), leaf, what="type")
        elif is_number(leaf) and not math.isfinite(leaf):
            yield Difference(name, index, "a finite number", leaf)


def _is_shape(shape: tuple[int, ...], spec: TensorSpec, rows: int | None) -> bool:
    if rows is not None and shape[:1] != (rows,):
        return False
    if spec.shape is None:
        return True
    # An empty dimension hides those behind it.
    known = spec.shape[: len(shape)] if 0 in shape else spec.shape
    return len(shape) == len(known) and all(w < 0 or w == g for w, g in zip(known, shape, strict=True))


def _is_type(leaf: Any, spec: TensorSpec) -> bool:
    dtype = dtype_name(spec)
    if dtype == "string":
        return isinstance(leaf, str) or is_base64(leaf)
    if dtype == "bool":
        return isinstance(leaf, bool)
    return type(leaf) is int if "int" in dtype else is_number(leaf)


def _leaves(values: Any, index: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    if isinstance(values, list):
        for position, inner in enumerate(values):
            yield from _leaves(inner, (*index, position))
    else:
        yield index, values
