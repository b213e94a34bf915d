"""Shows warm-up files, for warmup and setup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfs_workflow.workflow.model.warm_up import WarmedUp


def warmup_lines(done: Iterable[WarmedUp]) -> Iterator[str]:
    """A line for each version's warm-up file."""
    for one in done:
        state = "written" if one.written else "up to date"
        yield f"{one.model}  v{one.version}  {one.requests} warm-up requests  {state}  {one.file}"


def warmup_documents(done: Iterable[WarmedUp]) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [
        {
            "model": one.model,
            "version": one.version,
            "requests": one.requests,
            "written": one.written,
            "file": str(one.file),
        }
        for one in done
    ]
