"""Reads rows from .npy, .npz, .csv and .parquet files, as the JSON texts of a request.

A column holds the input of the same name. Where the signature has one input and no column has its name, all columns
together hold that input's values. Each library is imported only for its own kind of file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfs_workflow.client.rows import MalformedInputError, no_rows
from tfs_workflow.errors import ToolMissingError
from tfs_workflow.formats.base64_json import base64_object
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.formats.signature_text import dtype_name, tensor_text

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
TABLE_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")

Rows = Iterator[tuple[int, Any]]


def is_table(source: str) -> bool:
    """Whether a file's suffix is that of a table."""
    return source.lower().endswith(TABLE_SUFFIXES)


def table_rows(source: str, signature: Signature, id_field: str = "") -> Rows:
    """Number (from 1) and value of each row; with an `id_field`, an object of this column and the value.

    Raises MalformedInputError, and ToolMissingError for a library that is not installed.
    """
    readers: dict[str, Callable[[str, Signature, str], Rows]] = {
        ".npy": _npy_rows,
        ".npz": _npz_rows,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    return readers[Path(source).suffix.lower()](source, signature, id_field)


def row_text(value: Any) -> bytes:
    """The JSON text of a row's value; bytes become {"b64": …}."""
    return json.dumps(value, default=_json_value).encode()


def _npy_rows(source: str, signature: Signature, id_field: str) -> Rows:
    if id_field:
        raise _no_column(source, id_field, [])
    array = _numpy_file(source)
    name = _only_input(source, signature)
    if array.ndim == 0:
        raise MalformedInputError(
            "expected an array of rows, got a single value",
            where=source,
            fix=f"its first dimension is the rows of {name}",
        )
    yield from ((number, row.tolist()) for number, row in enumerate(array, 1))


def _npz_rows(source: str, signature: Signature, id_field: str) -> Rows:
    with _numpy_file(source) as archive:
        arrays = {name: archive[name] for name in archive.files}
    names = _without(source, list(arrays), id_field)
    if set(names) != set(signature.inputs):
        raise _wrong_columns(source, names, signature)
    lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1:
        raise MalformedInputError(
            "the arrays have different numbers of rows", where=source, evidence=str(sorted(lengths))
        )
    for number in range(lengths.pop()):
        row = {name: array[number].tolist() for name, array in arrays.items()}
        yield number + 1, _identified(row, id_field, _row)


def _numpy_file(source: str) -> Any:
    try:
        import numpy as np  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _library_missing("numpy", "client", source) from error
    try:
        return np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MalformedInputError("cannot be read as a numpy file", where=source, evidence=str(error)) from error


def _csv_rows(source: str, signature: Signature, id_field: str) -> Rows:
    try:
        with Path(source).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if not header:
                raise no_rows(source)
            convert = _row_converter(source, _without(source, header, id_field), signature)
            for number, cells in enumerate(reader, 1):
                if cells:
                    place = f"{source}:{reader.line_num}"
                    with _placed(place):
                        value = _identified(_by_column(cells, header, place), id_field, convert)
                    yield number, value
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MalformedInputError("cannot be read as CSV", where=source, evidence=str(error)) from error


def _by_column(cells: Sequence[str], header: Sequence[str], at: str) -> dict[str, str]:
    if len(cells) != len(header):
        raise MalformedInputError(f"expected {len(header)} cells as in the first line, got {len(cells)}", where=at)
    return dict(zip(header, cells, strict=True))


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Put file and line into the error of a cell, which only has its column."""
    try:
        yield
    except MalformedInputError as error:
        error.where = f"{place}: {error.where}" if error.where != place else place
        raise


def _without(source: str, columns: Sequence[str], id_field: str) -> list[str]:
    """The columns that are inputs; raises MalformedInputError where the one that is kept is not among them."""
    if id_field and id_field not in columns:
        raise _no_column(source, id_field, columns)
    return [column for column in columns if column != id_field]


def _identified(row: dict[str, Any], id_field: str, convert: Callable[[Mapping[str, Any]], Any]) -> Any:
    """The value of a row; with an `id_field`, beside what is kept."""
    if not id_field:
        return convert(row)
    kept = row.pop(id_field)
    return {id_field: kept, "row": convert(row)}


def _parquet_rows(source: str, signature: Signature, id_field: str) -> Rows:
    try:
        from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _library_missing("pyarrow", "parquet", source) from error
    try:
        file = parquet.ParquetFile(source)
    except (OSError, ArrowInvalid) as error:
        raise MalformedInputError("cannot be read as Parquet", where=source, evidence=str(error)) from error
    columns = _without(source, list(file.schema_arrow.names), id_field)
    is_vector = _is_vector(source, columns, signature)
    number = 0
    for batch in file.iter_batches():
        for row in batch.to_pylist():
            number += 1
            yield number, _identified(row, id_field, _vector if is_vector else _row)


def _row_converter(source: str, header: Sequence[str], signature: Signature) -> Callable[[Mapping[str, str]], Any]:
    """A function that turns the cells of a line, by column, into the row's value."""
    if _is_vector(source, header, signature):
        spec = next(iter(signature.inputs.values()))
        return lambda cells: [_cell(text, spec, name) for name, text in cells.items()]
    inputs = signature.inputs
    return lambda cells: _row(
        {name: _shaped(_cell(text, inputs[name], name), inputs[name]) for name, text in cells.items()}
    )


def _is_vector(source: str, columns: Sequence[str], signature: Signature) -> bool:
    """Whether the columns together hold one input, instead of one input each.

    Raises MalformedInputError where they do neither.
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


def _cell(text: str, spec: TensorSpec, column: str) -> Any:
    """The value of a cell in the type of an input; a cell that begins with a bracket is JSON."""
    kind = dtype_name(spec)
    try:
        if text.startswith("["):
            return json.loads(text)
        if kind == "string":
            return text
        if kind == "bool":
            return _BOOLEANS[text.strip().lower()]
        return int(text) if "int" in kind else float(text)
    except (ValueError, KeyError) as error:
        raise MalformedInputError(f"a cell has the wrong type: {text!r} is not {kind}", where=column) from error


def _shaped(value: Any, spec: TensorSpec) -> Any:
    """A scalar as a list of one for an input of shape (any, 1)."""
    return [value] if spec.shape is not None and spec.shape[1:] == (1,) and not isinstance(value, list) else value


def _row(values: Mapping[str, Any]) -> Any:
    """The row's value: bare where it has one input (api_rest.md)."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _vector(values: Mapping[str, Any]) -> Any:
    return list(values.values())


def _no_column(source: str, id_field: str, columns: Sequence[str]) -> MalformedInputError:
    there = f"columns: {', '.join(columns)}" if columns else "a .npy file has no columns"
    return MalformedInputError(f"there is no column {id_field!r}", where=source, evidence=there)


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
