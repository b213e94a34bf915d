"""Golden cases: requests as REST takes them, each with the response that was recorded; one JSON object a line.

    {"request": {"instances": [1.0, 2.0]}, "response": {"predictions": [2.5, 3.0]}}

Whatever sends requests to a model takes this form. A case without a response is a request whose answer is not known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfs_workflow.client import rows
from tfs_workflow.client.bulk.row_source import STDIN, numbered_rows, opened
from tfs_workflow.client.bulk.tables import is_table
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.client.rows import MalformedInputError
from tfs_workflow.errors import ConfigError
from tfs_workflow.formats.savedmodel import Signature
from tfs_workflow.state.atomic_file import write_named

FORMATS = ("instances", "inputs", "examples")
ANSWERS = ("predictions", "outputs", "results")
_FORM = '{"request": {"instances": […]}, "response": {"predictions": […]}}'


@dataclass(frozen=True)
class Case:
    """A request as REST takes it, its recorded response where there is one, and where it is written."""

    request: Mapping[str, Any]
    where: str
    response: Mapping[str, Any] | None = None

    @property
    def signature(self) -> str:
        """The signature that the request names; empty for the default one."""
        return self.request.get("signature_name") or ""


def read_cases(path: str) -> list[Case]:
    """The cases of a file.

    Raises ConfigError for a file that cannot be read, MalformedInputError for one without cases or a line of another
    form.
    """
    if not Path(path).exists():
        raise ConfigError("there is no such file", where=path, fix="invoke verify --record writes it")
    name = _shown(path)
    with opened(path) as stream:
        found = [_case(json.loads(text), f"{name}:{number}") for number, text in rows.json_lines(stream, name)]
    if not found:
        raise MalformedInputError("no golden cases", where=name, fix=f"one case a line: {_FORM}")
    return found


def cases_of_rows(source: str, target: ModelRef, signature: Callable[[], Signature]) -> Iterator[Case]:
    """A case without a response for each row of a file that `predict --input` takes, or of stdin for `-`.

    A document in column format is one case. A table needs the `signature`. Raises as `predict_file` does.
    """
    name = "stdin" if source == STDIN else source
    with opened(source) as stream:
        if is_table(source) or not rows.is_document(stream, source):
            numbered = numbered_rows(source, stream, signature)
        else:
            document = rows.read_document(stream, name)
            target = replace(target, signature=target.signature or document.signature)
            if document.instances is None:
                yield Case(_request({"inputs": document.inputs}, target), name)
                return
            numbered = rows.instance_rows(document.instances)
        empty = True
        for number, row in numbered:
            empty = False
            yield Case(_request({"instances": [json.loads(row)]}, target), f"{name}: row {number}")
        if empty:
            raise rows.no_rows(name)


def write_cases(path: str, cases: Iterable[Case]) -> None:
    """Write the cases, one a line; the file appears when it is whole. Raises ConfigError where it cannot be written."""
    lines = [json.dumps({"request": one.request, "response": one.response}, ensure_ascii=False) for one in cases]
    write_named(Path(path), "".join(f"{line}\n" for line in lines))


def _shown(path: str) -> str:
    """A path below the working directory as a relative one, any other as it is."""
    place = Path(path)
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else path


def _request(body: dict[str, Any], target: ModelRef) -> dict[str, Any]:
    return {"signature_name": target.signature} | body if target.signature else body


def _case(line: Any, where: str) -> Case:
    if not isinstance(line, dict) or not {"request"} <= line.keys() <= {"request", "response"}:
        raise _malformed("expected an object with a request and its response", where, line)
    request, response = line["request"], line.get("response")
    if not isinstance(request, dict) or sum(key in request for key in FORMATS) != 1:
        raise _malformed(f"expected a request with one of {', '.join(FORMATS)}", where, request)
    if not isinstance(request.get("signature_name", ""), str):
        raise _malformed("expected the name of a signature", where, request["signature_name"])
    for key in ("instances", "examples"):
        if key in request and not (isinstance(request[key], list) and request[key]):
            raise _malformed(f"expected {key} to be a list, one value a row", where, request[key])
    if response is not None and not (isinstance(response, dict) and sum(key in response for key in ANSWERS) == 1):
        raise _malformed(f"expected a response with one of {', '.join(ANSWERS)}", where, response)
    return Case(request, where, response)


def _malformed(what: str, where: str, value: Any) -> MalformedInputError:
    text = json.dumps(value, ensure_ascii=False)
    evidence = text if len(text) <= 100 else text[:99] + "…"
    return MalformedInputError(what, where=where, evidence=evidence, fix=f"one case a line: {_FORM}")
