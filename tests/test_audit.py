"""The dependency audit never takes silence for a clean bill."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CLEAN = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
# What pip-audit 2.10 says, with exit code 0, where the service answers 404 to everything.
SKIPPED = {"name": "good", "skip_reason": "Dependency not found on PyPI and could not be audited: good (1.0)"}


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_dependencies", ROOT / "tools" / "audit_dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pip_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int = 0) -> Path:
    """A pip-audit on PATH with a recorded answer; the constraints that it is asked about."""
    command = tmp_path / "pip-audit"
    command.write_text(f"#!{sys.executable}\nprint({answer!r})\nraise SystemExit({exit_code})\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("good==1.0\n")
    return constraints


def dependencies(*found: object) -> str:
    return json.dumps({"dependencies": found, "fixes": []})


@pytest.mark.parametrize(
    ("answer", "exit_code", "optional", "required"),
    [
        (dependencies(CLEAN), 0, 0, 0),
        (dependencies(CLEAN, BAD), 1, 1, 1),
        (dependencies(SKIPPED), 0, 0, 1),
        (dependencies(), 0, 0, 1),
        ("Traceback", 1, 0, 1),
    ],
    ids=["clean", "vulnerable", "skipped", "forgotten", "broken"],
)
def test_the_audit_fails_for_what_it_knows_and_where_it_must_know(  # noqa: PLR0917  # what is shown, side by side
    audit: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    exit_code: int,
    optional: int,
    required: int,
) -> None:
    constraints = pip_audit(tmp_path, monkeypatch, answer, exit_code)
    assert audit.main([str(constraints)]) == optional
    assert audit.main(["--required", str(constraints)]) == required


def test_what_was_not_audited_is_said(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.main([str(pip_audit(tmp_path, monkeypatch, dependencies(SKIPPED)))])
    said = capsys.readouterr()
    assert "0 of 1 pinned dependencies audited" in said.out
    assert "WARNING: 1 dependencies were NOT audited" in said.err


def test_every_pin_is_asked_about_for_whatever_python_it_is(audit: ModuleType) -> None:
    text = "# a comment\na==1 ; python_version < '3.11'\na==2 ; python_version >= '3.11'\nb==3\n"
    assert audit.pins(text) == [["a==1", "b==3"], ["a==2"]]


def test_the_constraints_are_all_pinned(audit: ModuleType) -> None:
    lists = audit.pins((ROOT / "constraints.txt").read_text())
    assert lists
    assert all(pin.count("==") == 1 for pinned in lists for pin in pinned)
