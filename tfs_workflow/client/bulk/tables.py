"""Rows out of .npy, .npz, .csv and .parquet files, as the JSON texts that a request is made of.

A column is an input of the signature by its name. Where the signature has one input and no column bears its name, the
columns together are its values. Each library is imported only for its own kind of file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfs_workflow.client.rows import MalformedInputError
from tfs_workflow.errors import ToolMissingError
from tfs_workflow.formats.base64_json import base64_object
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.formats.signature_text import dtype_name, tensor_text

TABLE_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")

Rows = Iterator[tuple[int, Any]]


def is_table(source: str) -> bool:
    """Whether a file's suffix says that it is a table."""
    return source.lower().endswith(TABLE_SUFFIXES)


def table_rows(source: str, signature: Signature) -> Rows:
    """Number (from 1) and value of each row; raises MalformedInputError, and ToolMissingError for a library that is
    missing.
    """
    readers: dict[str, Callable[[str, Signature], Rows]] = {
        ".npy": _npy_rows,
        ".npz": _npz_rows,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    return readers[Path(source).suffix.lower()](source, signature)


def row_text(value: Any) -> bytes:
    """The JSON text of a row's value; bytes become {"b64": …}."""
    return json.dumps(value, default=_json_value).encode()


def _npy_rows(source: str, signature: Signature) -> Rows:
    array = _numpy_file(source)
    name = _only_input(source, signature)
    if array.ndim == 0:
        raise MalformedInputError(
            "expected an array of rows, got a single value",
            where=source,
            fix=f"its first dimension is the rows of {name}",
        )
    yield from ((number, row.tolist()) for number, row in enumerate(array, 1))


def _npz_rows(source: str, signature: Signature) -> Rows:
    with _numpy_file(source) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if set(arrays) != set(signature.inputs):
        raise _wrong_columns(source, list(arrays), signature)
    lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1:
        raise MalformedInputError(
            "the arrays have different numbers of rows", where=source, evidence=str(sorted(lengths))
        )
    for number in range(lengths.pop()):
        yield number + 1, _row({name: array[number].tolist() for name, array in arrays.items()})


def _numpy_file(source: str) -> Any:
    try:
        import numpy as np  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _library_missing("numpy", "client", source) from error
    try:
        return np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MalformedInputError("cannot be read as a numpy file", where=source, evidence=str(error)) from error


def _csv_rows(source: str, signature: Signature) -> Rows:
    try:
        with Path(source).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            convert = _row_converter(source, header, signature)
            for number, cells in enumerate(reader, 1):
                if cells:
                    yield number, _converted(cells, header, convert, f"{source}:{reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MalformedInputError("cannot be read as CSV", where=source, evidence=str(error)) from error


def _converted(
    cells: Sequence[str], header: Sequence[str], convert: Callable[[Mapping[str, str]], Any], at: str
) -> Any:
    if len(cells) != len(header):
        raise MalformedInputError(f"expected {len(header)} cells as in the first line, got {len(cells)}", where=at)
    try:
        return convert(dict(zip(header, cells, strict=True)))
    except ValueError as error:
        raise MalformedInputError(f"a cell has the wrong type: {error}", where=at) from error


def _parquet_rows(source: str, signature: Signature) -> Rows:
    try:
        from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _library_missing("pyarrow", "parquet", source) from error
    try:
        file = parquet.ParquetFile(source)
    except (OSError, ArrowInvalid) as error:
        raise MalformedInputError("cannot be read as Parquet", where=source, evidence=str(error)) from error
    columns = list(file.schema_arrow.names)
    is_vector = _is_vector(source, columns, signature)
    number = 0
    for batch in file.iter_batches():
        for row in batch.to_pylist():
            number += 1
            yield number, list(row.values()) if is_vector else _row(row)


def _row_converter(source: str, header: Sequence[str], signature: Signature) -> Callable[[Mapping[str, str]], Any]:
    """From the cells of a line, by column, to the row's value."""
    if _is_vector(source, header, signature):
        spec = next(iter(signature.inputs.values()))
        return lambda cells: [_cell(text, spec) for text in cells.values()]
    inputs = signature.inputs
    return lambda cells: _row({name: _shaped(_cell(text, inputs[name]), inputs[name]) for name, text in cells.items()})


def _is_vector(source: str, columns: Sequence[str], signature: Signature) -> bool:
    """Whether the columns are the values of one input, and not inputs by name; raises MalformedInputError for
    neither.
    """
    if set(columns) == set(signature.inputs):
        return False
    if len(signature.inputs) != 1:
        raise _wrong_columns(source, columns, signature)
    spec = next(iter(signature.inputs.values()))
    width = spec.shape[1] if spec.shape is not None and len(spec.shape) == 2 else None
    if (spec.shape is not None and len(spec.shape) != 2) or (width not in (None, -1, len(columns))):
        raise _wrong_columns(source, columns, signature)
    return True


def _cell(text: str, spec: TensorSpec) -> Any:
    """The value of a cell in the type of an input; a cell that begins with a bracket is JSON."""
    if text.startswith("["):
        return json.loads(text)
    kind = dtype_name(spec)
    if kind == "string":
        return text
    if kind == "bool":
        return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
    return int(text) if "int" in kind else float(text)


def _shaped(value: Any, spec: TensorSpec) -> Any:
    """A scalar as the list of one that an input of shape (any, 1) takes."""
    return [value] if spec.shape is not None and spec.shape[1:] == (1,) and not isinstance(value, list) else value


def _row(values: Mapping[str, Any]) -> Any:
    """A row with one input is its bare value (api_rest.md)."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _only_input(source: str, signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise MalformedInputError(
            "a .npy file holds one array, and the signature has several inputs",
            where=source,
            fix=f"save them with numpy.savez under their names: {', '.join(signature.inputs)}",
        )
    return next(iter(signature.inputs))


def _wrong_columns(source: str, columns: Sequence[str], signature: Signature) -> MalformedInputError:
    wanted = ", ".join(tensor_text(name, tensor) for name, tensor in signature.inputs.items())
    return MalformedInputError(
        "the columns do not fit the signature",
        where=source,
        evidence=f"columns: {', '.join(columns[:12])}{', …' * (len(columns) > 12)}",
        fix=f"the signature takes {wanted}",
    )


def _library_missing(library: str, extra: str, source: str) -> ToolMissingError:
    return ToolMissingError(
        f"the package {library} is not installed", where=source, fix=f"pip install 'tfs-workflow[{extra}]'"
    )


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64_object(value)
    return str(value)
