"""A process that fetches one model and can be killed: python -m tests.support.fetch_once WORKSPACE SOURCE-AS-JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter

from tfs_workflow.config.types import Source
from tfs_workflow.sources.fetch import fetch
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.project_state import open_state
from tfs_workflow.state.workspace import Workspace


def main() -> None:
    workspace = Workspace.create(sys.argv[1], "test")
    sources: list[Source] = TypeAdapter(list[Source]).validate_json(sys.argv[2])
    with workspace.exclusive(), open_state(workspace) as session:
        print("fetching", flush=True)
        found = fetch("half_plus_two", sources, session, Path.cwd(), TransferContext(), update=True)
        print(json.dumps(dict(found.files)), flush=True)


if __name__ == "__main__":
    main()
