"""The project's state: one typed record in one file, read when a verb begins and written where it ends.

Every fact that outlives a verb is a field of ProjectState, so that no module spells another one's keys and a reader of
this file sees all that is remembered. A verb works on the state in memory and writes it once, whole, at its end, also
when it fails. One write comes earlier: `serve` records the runtimes that may hold a server before it starts one,
because a `kill -9` right after the start must not lose the server.

A field that does not validate counts as absent, since each of them can be found again by `setup` or `serve`. A file of
a newer release is different: its fields may mean something else, and writing would destroy them. It is a ConfigError.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from tfs_workflow.errors import ConfigError
from tfs_workflow.state.atomic_file import write_errors, write_whole
from tfs_workflow.state.records import FailureRecord, FetchRecord, ServedRecord
from tfs_workflow.state.setup_record import SetupRecord
from tfs_workflow.state.workspace import STATE_FILE, Workspace

# 1 had no number, and a key of its own for each model.
FORMAT = 2


@dataclass(frozen=True)
class ProjectState:
    """What the verbs of one project remember.

    `fetched` is by model name; `started` names the runtimes that may hold a server; `failure` is the last start that
    failed, None after one that succeeded.
    """

    setup: SetupRecord | None = None
    fetched: dict[str, FetchRecord] = field(default_factory=dict)
    started: tuple[str, ...] = ()
    served: ServedRecord | None = None
    failure: FailureRecord | None = None


class StateSession:
    """The state while one verb works on it; the verb holds the workspace's lock. Safe to share between threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.state = read_state(workspace)
        self._written = self.state
        self._lock = threading.Lock()

    def change(self, **fields: Any) -> None:
        """Replace fields of the state; `write` puts them into the file."""
        with self._lock:
            self.state = replace(self.state, **fields)

    def record_fetch(self, model: str, record: FetchRecord) -> None:
        """Replace the record of one model."""
        with self._lock:
            self.state = replace(self.state, fetched=self.state.fetched | {model: record})

    def write(self) -> None:
        """Write the state if it changed; ConfigError where it cannot be written."""
        with self._lock:
            # A verb that changed nothing leaves the file alone, also on a full disk.
            if self.state != self._written:
                write_state(self.workspace, self.state)
                self._written = self.state


@contextmanager
def open_state(workspace: Workspace) -> Iterator[StateSession]:
    """Read the state, and write what the block changed at its end, also when it raises.

    ConfigError for a file of a newer release, and where it cannot be written; that never hides an error of the block.
    """
    session = StateSession(workspace)
    try:
        yield session
    except BaseException:
        with suppress(ConfigError):
            session.write()
        raise
    session.write()


def read_state(workspace: Workspace) -> ProjectState:
    """The state; empty where there is none or it is damaged. ConfigError for a file of a newer release."""
    path = workspace.path / STATE_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    # Damaged or missing: everything in it can be found again by setup or serve.
    except (OSError, ValueError):
        return ProjectState()
    if not isinstance(document, dict):
        return ProjectState()
    if "format" not in document:
        document = _from_format_1(document)
    _check_format(document["format"], path)
    return ProjectState(**_valid_fields(document))


def write_state(workspace: Workspace, state: ProjectState) -> None:
    """Replace the file, for its owner alone; ConfigError where it cannot be written."""
    path = workspace.path / STATE_FILE
    document = {"format": FORMAT} | asdict(state)
    with write_errors(path):
        write_whole(path, json.dumps(document, indent=1, sort_keys=True) + "\n", mode=0o600)


def _check_format(found: object, path: Path) -> None:
    if isinstance(found, int) and found > FORMAT:
        raise ConfigError(
            "the workspace was written by a newer release of tfs-workflow",
            where=str(path),
            evidence=f"format {found}; this release reads up to {FORMAT}",
            fix="use that release, or set `workspace` in the YAML to another path",
        )


def _valid_fields(document: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, hint in get_type_hints(ProjectState).items():
        if document.get(name) is not None:
            with suppress(ValidationError):
                found[name] = TypeAdapter(hint).validate_python(document[name])
    return found


def _from_format_1(document: dict[str, Any]) -> dict[str, Any]:
    """The state of a release before 0.1.0, as a document of today's format."""
    fetched = {key.partition(".")[2]: record for key, record in document.items() if key.startswith("model.")}
    prepared = document.get("prepared")
    if isinstance(prepared, dict) and "asked" in prepared:
        prepared = {("runtime_inputs" if key == "asked" else key): value for key, value in prepared.items()}
    fields = {name: document[name] for name in ("started", "served") if name in document}
    return {"format": FORMAT, "setup": prepared, "fetched": fetched} | fields
