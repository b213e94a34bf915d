"""Replaces the program's name in hints: `tfs serve` for users of `tfs`, `invoke serve` for users of `invoke`.

The packages below the command line do not know which program is in use: their messages contain `invoke`. This module
replaces that name where a message is printed.
"""

from __future__ import annotations

import re
import sys
from pathlib import PurePath

PROGRAMS = ("invoke", "inv", "tfs")
_HINT = re.compile(
    r"\b(?:invoke|tfs) (?="
    r"(?:setup|serve|predict|describe|verify|warmup|bench|status|logs|teardown|demo|doctor|config|image|convert|export|"
    r"help)\b|--)"
)


def program_name() -> str:
    """The name under which this process was started: tfs, invoke or inv."""
    called = PurePath(sys.argv[0]) if sys.argv else PurePath()
    if called.stem in PROGRAMS:
        return called.stem
    return "invoke" if called.parent.name == "invoke" else "tfs"


def in_words_of_the_program(text: str) -> str:
    """A message whose hints name the program in use."""
    return _HINT.sub(f"{program_name()} ", text)
