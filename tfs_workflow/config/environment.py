"""Overrides of single values: TFS_SERVER__REST_PORT=auto in the environment stands for server.rest_port: auto.

A container or a CI job often has to change one value and cannot edit a file. A variable's name must therefore spell a
key path, in capitals and with `__` between keys. Keys of the user's own, such as models, may hold characters that a
variable cannot have: they are matched by how they would be spelled. The value is read as YAML, so that `8501`, `auto`
and `[1, 2]` mean what they mean in the file.

Behind a known top-level key, a name that stands for no key is an error: a misspelt variable would otherwise have no
effect that anyone could see. Other TFS_ variables belong to others: Kubernetes sets TFS_PORT and TFS_SERVICE_HOST in
every pod beside a service named tfs. They are ignored, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfs_workflow.config.introspection import keys, step, suggestion, takes_any_key
from tfs_workflow.config.yaml_reader import Document, KeyPath, Place, Problem, read_text

PREFIX = "TFS_"
CONFIG_VARIABLE = "TFS_CONFIG"
# The variables of the tests, and the marks of processes (process_runtime.py, cleanup.py).
RESERVED_PREFIXES = ("TFS_TEST_", "TFS_WORKFLOW_")


def apply_environment(document: Document, root: Any, environ: Mapping[str, str]) -> list[str]:
    """Put every TFS_ variable in its place in the document; the names of those that apply, less specific first.

    `root` is the type of the document's top. Unknown names below its keys become problems of the document; nothing is
    raised. Variables of others are left alone (foreign_variables).
    """
    applied = []
    # Less specific names first: TFS_SERVER replaces the whole mapping, and TFS_SERVER__REST_PORT then changes one key
    # of it.
    ours = (name for name in environ if _is_override(name) and not _is_foreign(name, root))
    for name in sorted(ours, key=lambda n: (n.count("__"), n)):
        path, unknown = _key_path(name[len(PREFIX) :], root, document.value)
        if unknown:
            document.problems.append(Problem(Place(name), (), unknown))
        else:
            _apply(document, path, name, environ[name])
            applied.append(name)
    return applied


def foreign_variables(root: Any, environ: Mapping[str, str]) -> list[str]:
    """The TFS_ variables that name no top-level key, sorted, each with the one that was probably meant."""
    return [
        f"{name} (did you mean {meant}?)" if (meant := _meant(name[len(PREFIX) :], keys(root), PREFIX)) else name
        for name in sorted(environ)
        if _is_override(name) and _is_foreign(name, root)
    ]


def apply_options(document: Document, options: Mapping[str, Any]) -> None:
    """Put the values of command line options in their places; a key such as server.image is shown as --image."""
    for key, value in options.items():
        path = tuple(key.split("."))
        place = Place(f"--{path[-1].replace('_', '-')}", text=str(value))
        put(document, path, value, {(): place})


def put(document: Document, path: KeyPath, value: Any, places: Mapping[KeyPath, Place]) -> None:
    """Replace what is at the path, with whatever stood below it, and make the mappings on the way.

    `places` are relative to the path. Problems found below the path are dropped with the value that had them.
    """
    for known in (document.values_at, document.keys_at):
        for stale in [p for p in known if p[: len(path)] == path]:
            del known[stale]
    document.problems = [p for p in document.problems if not path or p.path[: len(path)] != path]
    document.values_at |= {path + below: place for below, place in places.items()}
    if not path:
        document.value = value
        return
    container = _container(document, path)
    container[path[-1]] = value


def _container(document: Document, path: KeyPath) -> Any:
    """The mapping or list that holds the path's last key."""
    if not isinstance(document.value, dict):
        document.value = {}
    container: Any = document.value
    for key in path[:-1]:
        inner = _value_at(container, key)
        if not isinstance(inner, (dict, list)):
            inner = container[key] = {}
        container = inner
    return container


def _is_override(name: str) -> bool:
    return (
        name.upper().startswith(PREFIX) and name.upper() != CONFIG_VARIABLE and not name.startswith(RESERVED_PREFIXES)
    )


def _is_foreign(name: str, root: Any) -> bool:
    return not any(_matches(name[len(PREFIX) :], key) for key in keys(root))


def _apply(document: Document, path: KeyPath, name: str, text: str) -> None:
    read = read_text(text, name)
    if read.problems and read.value is None:
        document.problems += [Problem(Place(name), path, problem.what) for problem in read.problems]
        return
    places = {below: Place(name, text=place.text) for below, place in read.values_at.items()}
    put(document, path, read.value, places or {(): Place(name)})
    document.problems += [Problem(Place(name), path + p.path, p.what) for p in read.problems]


def _key_path(rest: str, annotation: Any, value: Any) -> tuple[KeyPath, str]:
    """The key path that a variable's name spells, or what is unknown about it."""
    path: KeyPath = ()
    while rest or not path:
        names = _names(annotation, value)
        spelled = [name for name in names if _matches(rest, name)]
        if not spelled and not takes_any_key(annotation):
            return path, _unknown(rest, names, path)
        if not spelled and path == ("models",):
            return path, _unknown(rest, names, path)
        # The longest key wins: with models a and a__b, TFS_MODELS__A__B means the second.
        key = max(spelled, key=lambda name: len(str(name)), default=rest.partition("__")[0].lower())
        path = (*path, key)
        rest = rest[len(str(key)) + 2 :]
        annotation, value = step(annotation, key), _value_at(value, key)
    return path, ""


def _names(annotation: Any, value: Any) -> list[str | int]:
    """What may follow: the type's keys, and the keys or positions that are there."""
    if isinstance(value, list):
        return list(range(len(value)))
    there = [key for key in value if takes_any_key(annotation)] if isinstance(value, dict) else []
    return [*keys(annotation), *there]


def _matches(rest: str, name: str | int) -> bool:
    spelled = _spelled(name)
    return rest.upper() == spelled or rest.upper().startswith(spelled + "__")


def _spelled(name: str | int) -> str:
    """A key as a variable can spell it: a model named a.b-c is A_B_C there."""
    return re.sub(r"[^A-Z0-9_]", "_", str(name).upper())


def _value_at(value: Any, key: str | int) -> Any:
    if isinstance(value, list) and isinstance(key, int):
        return value[key]
    return value.get(key) if isinstance(value, dict) else None


def _unknown(rest: str, names: list[str | int], path: KeyPath) -> str:
    stem = PREFIX + "".join(f"{_spelled(key)}__" for key in path)
    if meant := _meant(rest, names, stem):
        return f"stands for no key; did you mean {meant}?"
    known = ", ".join(f"{stem}{_spelled(name)}" for name in names)
    return f"stands for no key; known: {known}" if known else f"stands for no key: nothing is below {stem.rstrip('_')}"


def _meant(rest: str, names: Sequence[str | int], stem: str) -> str:
    """The variable that was probably meant, empty where none is close."""
    word, _, tail = rest.partition("__")
    meant = suggestion(word, [_spelled(name) for name in names])
    return f"{stem}{meant}{'__' + tail if tail else ''}" if meant else ""
