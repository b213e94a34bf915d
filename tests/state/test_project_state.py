"""The state file: written whole and typed, read from an older release, refused from a newer one, empty when damaged."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfs_workflow.errors import ConfigError
from tfs_workflow.state.fingerprints import Fingerprint
from tfs_workflow.state.project_state import FORMAT, ProjectState, StateSession, open_state, read_state, write_state
from tfs_workflow.state.records import FailureRecord, FetchRecord, ServedRecord
from tfs_workflow.state.setup_record import ModelRecord, SetupRecord
from tfs_workflow.state.workspace import STATE_FILE, Workspace

FILES = {"1/saved_model.pb": Fingerprint(3, 1_700_000_000_123_456_789, "ab")}
FALLBACK = ["git y: silent"]
FULL = ProjectState(
    setup=SetupRecord(
        "docker", "why", "sha256:1", {"m": ModelRecord("/m", "c", ['{"git": "x"}'])}, ["auto", "i"], True
    ),
    fetched={"m": FetchRecord(("git x",), 0, "c0", FILES, (*FALLBACK,))},
    started=("docker", "embedded"),
    served=ServedRecord("7", "2026-01-01T00:00:00+00:00", {"project": "p", "models": []}, {"m": FILES}),
    failure=FailureRecord("the server ended", "2026-01-01T00:00:00+00:00", exit_code=132, lines=("a", "b")),
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", "p")


def put(workspace: Workspace, document: Any) -> None:
    (workspace.path / STATE_FILE).write_text(json.dumps(document))


def document(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace.path / STATE_FILE).read_text())
    return found


def failing_session(workspace: Workspace) -> None:
    with open_state(workspace) as session:
        session.change(started=("docker",))
        raise ZeroDivisionError


def test_a_new_workspace_has_an_empty_state(workspace: Workspace) -> None:
    assert read_state(workspace) == ProjectState()


def test_what_is_written_is_read_again_and_belongs_to_its_owner_alone(workspace: Workspace) -> None:
    write_state(workspace, FULL)
    assert read_state(workspace) == FULL
    assert (workspace.path / STATE_FILE).stat().st_mode & 0o777 == 0o600
    assert document(workspace)["format"] == FORMAT


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"format": 2, "started": 7, "fetched": {"m": {}}}'])
def test_a_damaged_file_is_an_empty_state_that_can_be_replaced(workspace: Workspace, text: str) -> None:
    (workspace.path / STATE_FILE).write_text(text, encoding="latin-1")
    assert read_state(workspace) == ProjectState()
    with open_state(workspace) as session:
        session.change(started=("docker",))
    assert read_state(workspace) == ProjectState(started=("docker",))


@pytest.mark.parametrize("name", ["setup", "fetched", "started", "served", "failure"])
def test_a_damaged_field_counts_as_absent_and_leaves_the_others(workspace: Workspace, name: str) -> None:
    write_state(workspace, FULL)
    put(workspace, document(workspace) | {name: {"server": "of long ago"}})
    default = getattr(ProjectState(), name)
    assert read_state(workspace) == replace(FULL, **{name: default})


def test_a_file_of_a_newer_release_is_refused_and_left_as_it_is(workspace: Workspace) -> None:
    put(workspace, {"format": FORMAT + 1, "started": ["docker"]})
    with pytest.raises(ConfigError, match="newer release") as failure, open_state(workspace) as session:
        session.change(started=())
    assert failure.value.where == str(workspace.path / STATE_FILE)
    assert f"format {FORMAT + 1}" in failure.value.evidence
    assert "another path" in failure.value.fix
    assert document(workspace) == {"format": FORMAT + 1, "started": ["docker"]}


def test_a_file_without_a_number_is_read_as_the_first_format(workspace: Workspace) -> None:
    full = json.loads(json.dumps({"setup": FULL.setup.__dict__}, default=vars))["setup"]
    full["asked"] = full.pop("runtime_inputs")
    files = {name: list(one) for name, one in FILES.items()}
    put(
        workspace,
        {
            "prepared": full,
            "model.m": {
                "sources": ["git x"],
                "used": 0,
                "commit": "c0",
                "files": files,
                "fell_back": ["git y: silent"],
            },
            "started": ["docker", "embedded"],
            "served": {
                "id": "7",
                "started_at": "2026-01-01T00:00:00+00:00",
                "spec": {"project": "p", "models": []},
                "files": {"m": files},
            },
        },
    )
    assert read_state(workspace) == replace(FULL, failure=None)


def test_a_session_writes_once_at_its_end_and_earlier_only_when_it_is_called(workspace: Workspace) -> None:
    with open_state(workspace) as session:
        session.change(started=("docker",))
        assert read_state(workspace) == ProjectState()
        session.write()
        assert read_state(workspace).started == ("docker",)
        session.change(started=("embedded",))
    assert read_state(workspace).started == ("embedded",)


def test_a_session_that_fails_still_writes_what_it_found(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError):
        failing_session(workspace)
    assert read_state(workspace).started == ("docker",)


def test_a_session_that_changed_nothing_leaves_the_file_alone(workspace: Workspace) -> None:
    with open_state(workspace) as session:
        session.change(started=())
    assert not (workspace.path / STATE_FILE).exists()


def test_a_state_that_cannot_be_written_is_an_error_that_hides_no_other(workspace: Workspace) -> None:
    (workspace.path / STATE_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be written"), open_state(workspace) as session:
        session.change(started=("docker",))
    with pytest.raises(ZeroDivisionError):
        failing_session(workspace)


def test_threads_lose_no_record(workspace: Workspace) -> None:
    session = StateSession(workspace)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: session.record_fetch(f"m{n}", FetchRecord(("x",), n, "", {})), range(100)))
    session.write()
    assert {name: record.used for name, record in read_state(workspace).fetched.items()} == {
        f"m{n}": n for n in range(100)
    }
