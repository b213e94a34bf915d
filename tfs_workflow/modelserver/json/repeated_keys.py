"""A JSON object that has a key twice.

RapidJSON keeps both members: a lookup finds the first, and whoever walks through the object, as its writer does, meets
both. A dict with every member beside it keeps these answers apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class RepeatedKeys(dict[str, Any]):
    """The first value of each key; `members` holds every pair in its order."""

    def __init__(self, members: Iterable[tuple[str, Any]]) -> None:
        super().__init__()
        self.members: list[tuple[str, Any]] = []
        for name, value in members:
            self.add(name, value)

    def add(self, name: str, value: object) -> None:
        """Append a member."""
        self.members.append((name, value))
        self.setdefault(name, value)


def members(value: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Every member of an object, those of a repeated key too."""
    return value.members if isinstance(value, RepeatedKeys) else value.items()
