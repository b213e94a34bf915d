"""Build the embedded model server's own image from the package's Dockerfile.

The engine builds, from an archive that is put together here. The context holds only what the server needs, so that a
change of a workflow or a test does not build a new image. Entries have neither time nor owner, so that the same files
are the same context on every machine.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tfs_workflow.errors import ToolMissingError
from tfs_workflow.runtimes.docker.engine import Engine, engine_errors

PACKAGE = Path(__file__).parents[2]
CONTEXT = ("__init__.py", "errors.py", "formats", "protos", "modelserver", "image")


def build_image(
    engine: Engine, tag: str, base: str = "", wheels: Path | None = None, report: Callable[[str], None] = print
) -> None:
    """Build and tag the image; `wheels` is a directory to install from instead of the package index.

    `base` replaces the Dockerfile's base image. `report` gets each line of the build. Raises ToolMissingError when the
    build fails, with the step that failed.
    """
    arguments = {"PIP_OPTIONS": "--no-index --find-links=wheels"} if wheels else {}
    if base:
        arguments["BASE"] = base
    with tempfile.TemporaryFile() as context, engine_errors("build the image"):
        _write_context(context, wheels)
        events = engine.client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile="image/Dockerfile",
            tag=tag,
            buildargs=arguments,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for line in _build_lines(events, tag):
            report(line)


def _write_context(context: IO[bytes], wheels: Path | None) -> None:
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name in CONTEXT:
            archive.add(PACKAGE / name, name, filter=_reproducible)
        for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
            archive.add(wheel, f"image/wheels/{wheel.name}", filter=_reproducible)
    context.seek(0)


def _reproducible(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what changes from run to run, so that the engine's cache finds the same layers again."""
    if entry.name.endswith(("__pycache__", ".pyc")):
        return None
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


def _build_lines(events: Iterator[dict[str, Any]], tag: str) -> Iterator[str]:
    # The error event holds the exit code; the reason stands in the lines before it.
    last: deque[str] = deque(maxlen=4)
    for event in events:
        if "error" in event:
            raise ToolMissingError(
                "the image could not be built",
                where=tag,
                evidence="\n    ".join([*last, event["error"].strip()]),
                fix="without a network, give --wheels a directory that pip download filled",
            )
        if line := event.get("stream", "").strip():
            last.append(line)
            yield line
