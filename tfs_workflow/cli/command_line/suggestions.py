"""Suggests the verb or option that a mistyped word most likely means."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# Words of other tools, and the verb here that does the same.
_ELSEWHERE = {
    "build": "image.build",
    "check": "config.check",
    "clean": "teardown",
    "create": "config.init",
    "delete": "teardown",
    "destroy": "teardown",
    "down": "teardown",
    "fetch": "setup",
    "infer": "predict",
    "init": "config.init",
    "inspect": "describe",
    "install": "setup",
    "kill": "teardown",
    "log": "logs",
    "ls": "status",
    "new": "config.init",
    "prepare": "setup",
    "ps": "status",
    "pull": "setup",
    "rm": "teardown",
    "run": "serve",
    "schema": "config.schema",
    "show": "describe",
    "start": "serve",
    "state": "status",
    "stop": "teardown",
    "tail": "logs",
    "try": "demo",
    "up": "serve",
    "validate": "config.check",
}


def meant_word(word: str, known: Iterable[str]) -> str:
    """The known word that is most likely meant; empty when none is close."""
    choices = sorted(known)
    meant = _ELSEWHERE.get(word.lower(), "")
    if meant in choices:
        return meant
    near = get_close_matches(word.lower(), choices, n=1, cutoff=0.6)
    return near[0] if near else ""
