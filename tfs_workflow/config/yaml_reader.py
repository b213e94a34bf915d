"""Reads YAML into plain values with the place of each; bounded in size, and strict where YAML 1.1 misreads text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from tfs_workflow.errors import ConfigError

# Far above any configuration, far below what would take noticeable time or memory. The number of nodes counts with
# aliases expanded: nine lines of nested aliases can stand for a billion values.
MAX_SIZE_BYTES = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 50

KeyPath = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# Dates and `=` are text here: no key takes a date, and a ref such as 2024-01-31 is meant as it is written.
_TEXT_TAGS = {_TAG + name for name in ("str", "timestamp", "value")}
_TYPED_TAGS = {_TAG + name for name in ("int", "float", "bool", "null")}
# libyaml from PyYAML 6.0.4 on stops at 1000 levels by itself, in some styles before it has reported a single one.
_TOO_DEEP = "exceeded maximum nesting depth"
_SYNTAX = (
    (re.compile(r"\\t|tab character|cannot start any token"), "a tab or a character that YAML keeps for itself"),
    (re.compile(r"mapping values are not allowed"), "a second ': ' in one line; put the text in quotes"),
    (re.compile(r"another document"), "a second document ('---'); this file holds one"),
    (re.compile(r"undefined alias"), "an alias (*name) without its anchor (&name)"),
)


@dataclass(frozen=True)
class Place:
    """Where a value was written: a file with line and column, or the name of a variable or an option."""

    source: str
    line: int = 0
    column: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    place: Place
    path: KeyPath
    what: str

    def __str__(self) -> str:
        key = ".".join(str(part) for part in self.path)
        return f"{self.place}: {key}: {self.what}" if key else f"{self.place}: {self.what}"


@dataclass
class Document:
    """A YAML text as plain values, with the place of every value and every key."""

    source: str
    value: Any = None
    values_at: dict[KeyPath, Place] = field(default_factory=dict)
    keys_at: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: KeyPath, *, of_key: bool = False) -> Place:
        """The nearest known place: of the value, of its key, or of what holds it."""
        first, second = (self.keys_at, self.values_at) if of_key else (self.values_at, self.keys_at)
        for length in range(len(path), -1, -1):
            place = first.get(path[:length]) or second.get(path[:length])
            if place:
                return place
            first, second = self.keys_at, self.values_at
        return Place(self.source)


def read_file(path: Path) -> Document:
    """The YAML of a file; raises ConfigError when there is no readable text, else problems are in the document."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_SIZE_BYTES:
            raise ConfigError(f"expected at most {MAX_SIZE_BYTES} bytes, got {size_bytes}", where=str(path))
        return read_text(path.read_bytes().decode("utf-8-sig"), str(path))
    except FileNotFoundError as error:
        fix = _a_yaml_in(path.parent) or "invoke config.init makes a commented one; invoke serve PATH needs none"
        raise ConfigError("no such file", where=str(path), fix=fix) from error
    except IsADirectoryError as error:
        fix = _a_yaml_in(path) or "name the YAML file itself"
        raise ConfigError("expected a YAML file, got a directory", where=str(path), fix=fix) from error
    except UnicodeDecodeError as error:
        line, column = _line_and_column(path.read_bytes()[: error.start].decode("utf-8-sig", "replace"))
        where = f"{path}:{line}:{column}"
        raise ConfigError(f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x}", where=where) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error


def read_text(text: str, source: str) -> Document:
    """The YAML of a text; whatever is wrong with it is in the document's problems."""
    document = Document(source)
    reader = _Reader(document)
    try:
        _refuse_excess(text)
        node = yaml.compose(text, _Loader)
        if node is not None:
            document.value = reader.value_of(node, ())
    except _TooMuchError as error:
        document.problems = [Problem(Place(source), (), str(error))]
    except yaml.YAMLError as error:
        document.problems = [_syntax_problem(text, source, error)]
    return document


class _TooMuchError(Exception):
    """More nodes or levels than any configuration needs."""


def _refuse_excess(text: str) -> None:
    """Raise before anything recursive or expanding sees the text; parsing events is neither."""
    depth = nodes = 0
    for event in _events(text):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _too_deep()
        if nodes > MAX_NODES:
            raise _TooMuchError(f"expected at most {MAX_NODES} values, got more")


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, _Loader)
    except yaml.MarkedYAMLError as error:
        if error.problem == _TOO_DEEP:
            raise _too_deep() from error
        raise


def _too_deep() -> _TooMuchError:
    return _TooMuchError(f"expected at most {MAX_DEPTH} levels, got more")


class _Reader:
    """Turns YAML nodes into values, and counts them with every alias expanded."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constructor = SafeConstructor()
        self.count = 0
        self.open_nodes: set[int] = set()

    def value_of(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise _TooMuchError(f"expected at most {MAX_NODES} values, got more (aliases count each time)")
        self.document.values_at[path] = self._place(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self.open_nodes:
            return self._refuse(node, path, "an alias that holds itself")
        # The nodes from the root to this one: an alias to one of them would never end.
        self.open_nodes.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self.open_nodes.discard(id(node))
        return value

    def _sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        if node.tag != _TAG + "seq":
            self._refuse(node, path, f"the tag {node.tag} is not taken here")
        return [self.value_of(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            self._refuse(node, path, f"the tag {node.tag} is not taken here")
        merged: dict[str, Any] = {}
        for source in self._merge_sources(node):
            inherited = self.value_of(source, path)
            merged |= inherited if isinstance(inherited, dict) else {}
        self.document.values_at[path] = self._place(node)
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _TAG + "merge":
                self._entry(own, key_node, value_node, path)
        # A mapping's own keys win over merged ones, wherever `<<` stands (yaml.org/type/merge).
        return merged | own

    def _merge_sources(self, node: yaml.MappingNode) -> Iterator[yaml.Node]:
        """What `<<` names, least important first."""
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                yield from reversed(value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node])

    def _entry(self, own: dict[str, Any], key_node: yaml.Node, value_node: yaml.Node, path: KeyPath) -> None:
        if not isinstance(key_node, yaml.ScalarNode):
            self._refuse(key_node, path, "expected a plain key, got a collection")
            return
        # The text as written: a label named `on` or a model named 2024 is no boolean and no number.
        key = key_node.value
        if key in own:
            first = self.document.keys_at[(*path, key)]
            self._refuse(key_node, (*path, key), f"duplicate key, first at {first}")
            return
        self.document.keys_at[(*path, key)] = self._place(key_node)
        own[key] = self.value_of(value_node, (*path, key))

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag in _TEXT_TAGS or (node.tag == _TAG + "merge"):
            return node.value
        if node.tag not in _TYPED_TAGS:
            return self._refuse(node, path, f"the tag {node.tag} is not taken here")
        try:
            value = self.constructor.construct_object(node)
        except (ValueError, LookupError, ConstructorError):
            return self._refuse(node, path, f"{node.value!r:.60} is no {node.tag.removeprefix(_TAG)}")
        if not node.style and (trap := _trap(node.value, value)):
            return self._refuse(node, path, trap)
        return value

    def _refuse(self, node: yaml.Node, path: KeyPath, what: str) -> None:
        self.document.problems.append(Problem(self._place(node), path, what))

    def _place(self, node: yaml.Node) -> Place:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        return Place(self.document.source, node.start_mark.line + 1, node.start_mark.column + 1, text)


def _trap(text: str, value: object) -> str:
    """What to write instead where YAML 1.1 reads a number that nobody meant."""
    if isinstance(value, int) and re.fullmatch(r"[-+]?0[0-7_]+", text):
        number = text.replace("_", "").lstrip("+-0") or "0"
        return f"YAML 1.1 reads {text} as octal, which is {value}: write {number}, or '{text}' in quotes for text"
    if isinstance(value, (int, float)) and ":" in text:
        return f"YAML 1.1 reads {text} in base 60, which is {value}: put it in quotes"
    return ""


def _syntax_problem(text: str, source: str, error: yaml.YAMLError) -> Problem:
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        line, column = _line_and_column(text[: unprintable.start()])
        return Problem(Place(source, line, column), (), f"not YAML: control character {unprintable.group()!r}")
    mark = getattr(error, "problem_mark", None)
    place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
    problem = str(getattr(error, "problem", None) or error)
    plain = next((meaning for pattern, meaning in _SYNTAX if pattern.search(problem)), problem)
    if "\t" in (text.splitlines()[place.line - 1 : place.line] or [""])[0]:
        plain = "a tab; indent with spaces"
    return Problem(place, (), f"not YAML: {plain}")


def _line_and_column(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _a_yaml_in(directory: Path) -> str:
    found = sorted(path for path in directory.glob("*.y*ml") if path.is_file())[:5]
    return f"did you mean {' or '.join(map(str, found))}?" if found else ""
