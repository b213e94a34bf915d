"""Turns validation errors into plain messages: what was expected, what was found, and where.

Pydantic reports a path through its own types, with tags of unions in it, and one error for each alternative of a union.
A user has written a file: the message must name the line, the key as it stands there, what was expected and what was
found. A misspelt key causes two errors, an unknown key and a missing one; only the first is shown.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from tfs_workflow.config.introspection import is_tag, keys, step, suggestion
from tfs_workflow.config.yaml_reader import Document, KeyPath, Problem

EXPECTED = "expected"
REFUSED = "refused"
LONGEST_QUOTE = 80

_PHRASES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "finite_number": "a finite number",
    "too_short": "at least {min_length} of them",
    "string_too_short": "text that is not empty",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
    "less_than": "a number below {lt}",
    "literal_error": "{expected}",
}


def expected(phrase: str) -> WrapValidator:
    """An annotation that gives a type one phrase in place of the type's own errors, a union's above all."""

    def check(value: Any, validated: Any) -> Any:
        try:
            return validated(value)
        except ValidationError as error:
            kinds = {detail["type"] for detail in error.errors(include_url=False)}
            text = "string_type" in kinds and not kinds & {"int_type", "float_type", "bool_type"}
            raise PydanticCustomError(EXPECTED, "{phrase}", {"phrase": phrase, "text": text}) from None

    return WrapValidator(check)


def refusal(found: list[tuple[KeyPath, str]]) -> ValidationError:
    """An error for a validator to raise that names several places below its own, each with its own sentence."""
    return ValidationError.from_exception_data(
        REFUSED,
        [
            InitErrorDetails(type=PydanticCustomError(REFUSED, "{what}", {"what": what}), loc=loc, input=None)
            for loc, what in found
        ],
    )


def problems(error: ValidationError, root: Any, document: Document) -> list[Problem]:
    """Every validation error as a problem with its place; those that a worse one explains are left out."""
    # A value that the reader rejected already is None here, and would be reported twice.
    known = {problem.path for problem in document.problems}
    found = [_problem(detail, root, document) for detail in error.errors(include_url=False)]
    found = [p for p in found if not any(p.path[: len(path)] == path for path in known if path)]
    # The key that a misspelt one means is reported as missing, too: one message is enough.
    meant = {(*p.path[:-1], m.group(1)) for p in found if (m := re.search(r"did you mean '(.+)'\?", p.what))}
    return [p for p in found if not (p.what.startswith("missing") and p.path in meant)]


def _problem(detail: ErrorDetails, root: Any, document: Document) -> Problem:
    path, owner, of_key = _resolve(detail["loc"], root, document.value)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(document.place(path, of_key=True), path, _unknown_key(str(path[-1]), owner))
    if kind == "missing":
        return Problem(document.place(path[:-1], of_key=True), path, f"missing{_meaning(owner, path[-1])}")
    if kind == REFUSED:
        return Problem(document.place(path, of_key=of_key), path, str(context["what"]))
    phrase = detail["msg"] if kind == EXPECTED else _PHRASES.get(kind, detail["msg"]).format_map(context)
    place = document.place(path, of_key=of_key)
    found = repr(str(path[-1])) if of_key else _found(detail["input"], place.text)
    return Problem(place, path, f"expected {phrase}, got {found}{_quotes(detail, place.text)}")


def _resolve(loc: tuple[str | int, ...], root: Any, value: Any) -> tuple[KeyPath, Any, bool]:
    """The user's key path behind pydantic's, the type that owns its last key, and whether the key itself is meant."""
    path: KeyPath = ()
    owner = annotation = root
    for part in loc:
        if part == "[key]":
            return path, owner, True
        if isinstance(part, int) and not isinstance(value, list):
            annotation = step(annotation, part)  # a single source that stands for a list of one
            continue
        owner, annotation = annotation, step(annotation, part)
        if isinstance(part, str) and is_tag(owner, part):
            continue
        path = (*path, part)
        value = _below(value, part)
    return path, owner, False


def _below(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, (list, tuple)) and isinstance(key, int) and key < len(value) else None


def _unknown_key(key: str, owner: Any) -> str:
    known = keys(owner)
    meant = suggestion(key, known)
    return f"unknown key; did you mean '{meant}'?" if meant else f"unknown key; known here: {', '.join(known)}"


def _meaning(owner: Any, key: str | int) -> str:
    fields = getattr(owner, "model_fields", {})
    description = fields[key].description if key in fields else None
    return f": {description}" if description else ""


def _found(value: Any, text: str) -> str:
    if isinstance(value, (dict, list, tuple)):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        # A password inside an address is nobody's business.
        shown = re.sub(r"://[^/@\s]+@", "://***@", value)
        return f"'{shown[:LONGEST_QUOTE]}{'…' if len(shown) > LONGEST_QUOTE else ''}'"
    return text or str(value)


def _quotes(detail: ErrorDetails, text: str) -> str:
    """The cure where YAML made a number or a boolean of what should be text, or text of a number with zeros."""
    value = detail["input"]
    wants_text = detail["type"] == "string_type" or detail.get("ctx", {}).get("text", False)
    if wants_text and isinstance(value, (bool, int, float)):
        kind = "boolean" if isinstance(value, bool) else "number"
        return f", which YAML reads as a {kind}: put it in quotes, '{text or value}'"
    if isinstance(value, str) and re.fullmatch(r"0\d+", value):
        return f": write {value.lstrip('0') or '0'}"
    return ""
