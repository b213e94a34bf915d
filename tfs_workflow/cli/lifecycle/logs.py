"""invoke logs: what the server said, with the lines marked that show a failure."""

from __future__ import annotations

import json

from tfs_workflow.cli import console
from tfs_workflow.cli.command import Options, verb
from tfs_workflow.health.diagnosis import marked
from tfs_workflow.workflow.project import known


def logs(options: Options, *, follow: bool = False, tail: int = 0) -> None:
    """Show the server's log lines; a `tail` of 0 is all of them."""
    with verb(options) as loaded:
        runtime, server = known(loaded)
        seen = None
        for line, row in marked(runtime.logs(server, tail=tail or None, follow=follow)):
            seen = row or seen
            if options.json:
                console.result(json.dumps({"line": line, "diagnosis": row.name if row else ""}))
            else:
                show_line(line, is_telling=row is not None)
        if seen and not options.json:
            console.note(f"{seen.name}: {seen.cause}; {seen.fix}")


def show_line(line: str, *, is_telling: bool) -> None:
    """A line of a log, marked where it shows a failure."""
    if is_telling:
        console.result_marked(line)
    else:
        console.result(line)
