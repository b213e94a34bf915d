"""invoke logs: print the server's log, and mark the lines that show a failure."""

from __future__ import annotations

import json

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, whole_number
from tfs_workflow.health.diagnosis import marked
from tfs_workflow.workflow.project import known


def logs(options: CommandOptions, *, follow: bool = False, tail: str = "") -> None:
    """Show the server's log lines, or the last `tail` of them."""
    with reported_errors(options):
        lines = whole_number(tail, "--tail", least=1) if tail else None
    with project_command(options) as loaded:
        runtime, server = known(loaded)
        last = None
        for line, row in marked(runtime.logs(server, tail=lines, follow=follow)):
            last = row or last
            if options.json:
                console.result(json.dumps({"line": line, "diagnosis": row.name if row else ""}))
            else:
                show_line(line, is_evidence=row is not None)
        if last and not options.json:
            console.note(f"{last.name}: {last.cause}; {last.fix}")


def show_line(line: str, *, is_evidence: bool) -> None:
    """Print a line of a log, marked where it shows a failure."""
    if is_evidence:
        console.result_marked(line)
    else:
        console.result(line)
