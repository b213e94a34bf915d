"""invoke setup: prepare everything and show where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import Options, show, verb
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.workflow.prepare import SetUp
from tfs_workflow.workflow.prepare import setup as set_up


def setup(options: Options, *, locked: bool = False, offline: bool = False, update: bool = False) -> None:
    """Prepare everything and show where it is."""
    with verb(options) as loaded:
        with console.progress_bars() as bars:
            transfer = Transfer(progress=bars, announce=console.note)
            done = set_up(loaded, transfer, locked=locked, offline=offline, update=update)
        show(options, _document(done), _lines(done))


def _lines(done: SetUp) -> Iterator[str]:
    for name, model in done.models.items():
        state = "fetched" if model.fresh else "up to date"
        yield f"{name}  {state}  {model.description}" + (f"  {model.commit[:12]}" if model.commit else "")
    yield f"runtime  {done.choice.runtime}  ({done.choice.reason})"


def _document(done: SetUp) -> dict[str, Any]:
    return {
        "workspace": str(done.workspace),
        "runtime": done.choice.runtime,
        "reason": done.choice.reason,
        "image_digest": done.choice.image_digest,
        "lock": str(done.lock),
        "models": {
            name: {
                "base_path": str(model.base_path),
                "source": model.description,
                "commit": model.commit,
                "fresh": model.fresh,
                "fell_back": list(model.fell_back),
            }
            for name, model in done.models.items()
        },
    }
