"""invoke logs: what the server said."""

from __future__ import annotations

import json

from tfs_workflow import console
from tfs_workflow.verbs.edge import Options, verb
from tfs_workflow.workflow.project import known


def logs(options: Options, *, follow: bool = False, tail: int = 0) -> None:
    """Show the server's log lines; a `tail` of 0 is all of them."""
    with verb(options) as loaded:
        runtime, server = known(loaded)
        for line in runtime.logs(server, tail=tail or None, follow=follow):
            console.result(json.dumps({"line": line}) if options.json else line)
