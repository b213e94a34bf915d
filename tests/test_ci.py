"""The tests of CI run a failed test once more, and hide no failure by that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfs_workflow.config.environment import RESERVED_PREFIXES

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[1] / ".ci" / "tests"
PYTEST = str(Path(sys.executable).with_name("pytest"))
SOUND = "def test_sound(): pass\n"
FLAKY = """
from pathlib import Path
def test_flaky():
    seen = Path(__file__).with_name("seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""
BROKEN = "def test_broken(): assert False\n"


def run(directory: Path, text: str, ci: str = "true") -> tuple[int, str, str]:
    """Exit code and output of the script over these tests, and what it names as flaky."""
    (directory / "test_it.py").write_text(text)
    environment = os.environ | {"CI": ci, "FLAKY_TESTS": str(directory / "flaky"), "PYTEST_ADDOPTS": ""}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [str(SCRIPT), PYTEST, f"{PYTEST} -q -n 1"]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    flaky = directory / "flaky"
    return done.returncode, done.stdout + done.stderr, flaky.read_text() if flaky.exists() else ""


def test_a_test_that_passes_the_second_time_is_named_and_no_failure(tmp_path: Path) -> None:
    code, output, flaky = run(tmp_path, SOUND + FLAKY)
    assert code == 0, output
    assert "FLAKY" in output
    assert flaky == "test_it.py::test_flaky\n"


def test_a_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    code, output, flaky = run(tmp_path, BROKEN + FLAKY)
    assert code == 1, output
    assert flaky == "test_it.py::test_flaky\n"


@pytest.mark.parametrize(("text", "code"), [(SOUND, 0), ("import nothing_of_this_name\n", 2), ("", 5)])
def test_what_needs_no_second_run_keeps_its_exit_code(tmp_path: Path, text: str, code: int) -> None:
    assert run(tmp_path, text)[::2] == (code, "")


def test_outside_of_ci_a_failure_is_final(tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, FLAKY, ci="")
    assert (code, "FAILED ONCE" in output) == (1, False)


def test_no_variable_of_ci_reaches_the_tests() -> None:
    """The tool rejects a TFS_ variable that is neither a key of the YAML nor reserved."""
    text = SCRIPT.with_name("run").read_text()
    unset = set(re.findall(r"TFS_\w+", "".join(re.findall(r"^unset .*", text, re.MULTILINE))))
    read = set(re.findall(r"\$\{?(TFS_\w+)", text)) | set(re.findall(r"^export (TFS_\w+)", text, re.MULTILINE))
    assert {name for name in read if not name.startswith(RESERVED_PREFIXES)} <= unset
