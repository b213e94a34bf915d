"""Opens a file of rows, or stdin, and numbers its rows, whatever the kind of the file."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfs_workflow.client import rows
from tfs_workflow.client.bulk.tables import is_table, row_text, table_rows
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.errors import ConfigError, PredictionFailedError
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature

STDIN = "-"


@contextmanager
def opened(source: str) -> Iterator[io.BufferedReader]:
    """The bytes of a file, or of stdin for `-`; raises ConfigError for a file that cannot be read."""
    if source == STDIN:
        yield sys.stdin.buffer  # type: ignore[misc]  # a BufferedReader, whatever typeshed calls it
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115  # closed below; only the opening is translated
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=source, fix="name a file, or - for stdin"
        ) from error
    with stream:
        yield stream


def numbered_rows(
    source: str, stream: BinaryIO, signature: Callable[[], Signature], id_field: str = ""
) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and JSON text of each row of a table, which needs the signature, or of JSON lines."""
    if not is_table(source):
        return rows.json_lines(stream, "stdin" if source == STDIN else source)
    return ((number, row_text(value)) for number, value in table_rows(source, signature(), id_field))


def signature_of(client: JsonClient, target: ModelRef) -> Signature:
    """The signature that a target names; raises PredictionFailedError where the model has none of that name."""
    found = client.metadata(target.model, target.version, target.label)
    name = target.signature or DEFAULT_SIGNATURE
    if name not in found:
        choices = f"there are: {', '.join(found)}"
        raise PredictionFailedError(f"there is no signature {name}", where=target.model, fix=choices)
    return found[name]
