"""Whether this command line will start an embedded server, so that its engine may start before the verb is imported.

A guess by the words alone, since to read the YAML takes the imports that the engine is to start beside. A wrong guess
costs half a second of another processor, and a missing one that time.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

_VERBS = {"serve", "demo"}
_ONLY_TELL = {"--help", "-h", "--dry-run", "--list", "-l", "--complete"}


def start_engine_ahead() -> None:
    """Start the engine where the command line is likely to need it."""
    if is_likely(sys.argv[1:]):
        from tfs_workflow.runtimes.process import ahead  # noqa: PLC0415  # other verbs do without

        ahead.start()


def is_likely(words: list[str]) -> bool:
    """A path is served, which takes a container only where the image is there already, or no engine can answer."""
    if not _VERBS & set(words) or _ONLY_TELL & set(words):
        return False
    is_path = any(Path(word).exists() for before, word in pairwise(words) if before in ("serve", "--path"))
    return is_path or not _engine_may_answer()


def _engine_may_answer() -> bool:
    from tfs_workflow.errors import ToolMissingError  # noqa: PLC0415  # a path is served without this question
    from tfs_workflow.runtimes.availability import require_engine_socket  # noqa: PLC0415

    try:
        require_engine_socket()
    except ToolMissingError:
        return False
    return True
