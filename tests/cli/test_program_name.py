"""Hints name the program that was typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfs_workflow.cli.program_name import in_words_of_the_program, program_name


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/tfs", "tfs"),
        ("invoke", "invoke"),
        ("/opt/inv", "inv"),
        ("/lib/invoke/__main__.py", "invoke"),
        ("/lib/tfs_workflow/cli/program.py", "tfs"),
    ],
)
def test_the_program_is_the_one_that_was_called(monkeypatch: pytest.MonkeyPatch, called: str, name: str) -> None:
    monkeypatch.setattr(sys, "argv", [called, "serve"])
    assert program_name() == name
    assert in_words_of_the_program("run invoke setup once") == f"run {name} setup once"


def test_other_words_stay() -> None:
    assert in_words_of_the_program("pip install invoke requests") == "pip install invoke requests"


@pytest.mark.parametrize(("module", "hint"), [("tfs_workflow.cli.program", "tfs"), ("invoke", "invoke")])
def test_a_hint_names_the_program_in_use(tmp_path: Path, module: str, hint: str) -> None:
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-m", module, *(["-r", str(root)] if module == "invoke" else [])]
    done = subprocess.run(
        [*argv, "status", "--config", str(tmp_path / "tfs.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"next step: {hint} config.init" in done.stderr


def test_no_hint_is_built_with_a_program_of_its_own() -> None:
    """Below the command line a hint is written with `invoke`, which is put into the words of the program in use."""
    package = Path(__file__).parents[2] / "tfs_workflow"
    below = [path for path in package.rglob("*.py") if "cli" not in path.parts]
    own = [path for path in below if re.search(r"[\"'`(; ]tfs (?:setup|serve|status|teardown)\b", path.read_text())]
    assert own == []
