"""invoke logs: what the server said, with the lines marked that show a failure."""

from __future__ import annotations

import json

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, whole_number
from tfs_workflow.health.diagnosis import marked
from tfs_workflow.workflow.project import known


def logs(options: CommandOptions, *, follow: bool = False, tail: str = "") -> None:
    """Show the server's log lines, or the last `tail` of them."""
    with project_command(options) as loaded:
        lines = whole_number(tail, "--tail", least=1) if tail else None
        runtime, server = known(loaded)
        seen = None
        for line, row in marked(runtime.logs(server, tail=lines, follow=follow)):
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
