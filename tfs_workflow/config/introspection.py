"""Walks the configuration's types by key path: the keys that a mapping takes, and the type of each.

Environment variables, error messages and suggestions need the keys of a configuration. A second list of them would
drift from the types, so they are read from the types at run time. Unions are the difficulty: a source is one of several
types, and a policy is a word, a mapping or a list. Pydantic puts a union's tag into its error paths, so a step may be a
tag as well as a key.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag


def step(annotation: Any, key: str | int) -> Any:
    """The type behind one key or index, or inside one tag of a union; None when there is none."""
    alternatives = list(_alternatives(annotation))
    tagged = next((alternative for tag, alternative in alternatives if tag == key), None)
    if tagged is not None:
        return tagged
    return next((found for _, a in alternatives if (found := _inside(a, key)) is not None), None)


def is_tag(annotation: Any, part: str) -> bool:
    """Whether a part of an error's path is the tag of a union's member, and not a key."""
    return any(tag == part for tag, _ in _alternatives(annotation))


def keys(annotation: Any) -> list[str]:
    """The keys that a type names; a single value in place of a list takes the keys of the list's items."""
    found: dict[str, None] = {}
    for _, alternative in _alternatives(annotation):
        if _is_model(alternative):
            found |= dict.fromkeys(alternative.model_fields)
        elif get_origin(alternative) is tuple:
            found |= dict.fromkeys(keys(get_args(alternative)[0]))
    return list(found)


def takes_any_key(annotation: Any) -> bool:
    """Whether the keys are the user's own, as those of labels and flags are.

    Such keys cannot be checked or completed.
    """
    return any(get_origin(alternative) is dict for _, alternative in _alternatives(annotation))


def suggestion(word: str, known: list[str]) -> str:
    """The known word that was probably meant, or an empty string."""
    close = get_close_matches(word.lower(), [k.lower() for k in known], n=1, cutoff=0.6)
    return next((k for k in known if close and k.lower() == close[0]), "")


def _alternatives(annotation: Any) -> Iterator[tuple[str | None, Any]]:
    """Each member of a union with its tag; a type that is no union is its own only member."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        tag = next((m.tag for m in metadata if isinstance(m, Tag)), None)
        yield from ((tag or t, a) for t, a in _alternatives(inner))
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield None, annotation


def _inside(annotation: Any, key: str | int) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if _is_model(annotation):
        field = annotation.model_fields.get(key)
        return None if field is None else field.annotation
    if origin is dict:
        return arguments[1]
    # A single item may stand for a list of one, so that a key leads into the item's type.
    if origin in (tuple, list):
        return arguments[0] if isinstance(key, int) else step(arguments[0], key)
    return None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
