"""The plugin in runs of pytest of their own, as a team would have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import models
from tests.support.team import CRASH, Team, serving
from tests.support.waiting import until

TEST = """\
import numpy as np

def test_half_plus_two(tfs_client):
    answer = tfs_client.predict("model", np.array([1.0, 2.0]))
    np.testing.assert_allclose(answer["y"], [2.5, 3.0])
"""
# Says which server it has: on the file descriptor itself, which outlives a crash.
NAMED = """\
import os
def test_it(tfs_server):
    os.write(2, f"project={tfs_server.project} models={','.join(tfs_server.models)}\\n".encode())
"""


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    models.good(tmp_path, "1")
    yield Team(tmp_path)
    until(lambda: serving(tmp_path) == [] and list((tmp_path / "tmp").glob("tfs-pytest-*")) == [])


def test_a_first_model_test(team: Team) -> None:
    team.write("test_model.py", TEST)
    done = team.run()
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_yaml_is_served_as_another_project_and_its_lock_file_is_left_alone(team: Team) -> None:
    team.write("tfs.yaml", "project: theirs\nmodels: {named: {source: {directory: model}}}\n")
    team.write("pytest.ini", "[pytest]\n")
    team.write("test_model.py", NAMED)
    done = team.run("-s")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert re.search(r"project=pytest-\d+-\w+ models=named", done.stderr)
    assert sorted(path.name for path in team.directory.iterdir() if not path.name.startswith("__")) == [
        *("model", "pytest.ini", "test_model.py", "tfs.yaml", "tmp"),
    ]


def test_each_worker_of_xdist_has_a_server_of_its_own(team: Team) -> None:
    for name in ("one", "two"):
        team.write(f"test_{name}.py", TEST + "\n" + NAMED)
    done = team.run("-n", "2", "--dist", "loadfile", "-s")
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert len(set(re.findall(r"project=(\S+)", done.stdout + done.stderr))) == 2


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"])
def test_a_crash_of_pytest_leaves_no_server(team: Team, end: str) -> None:
    team.write("test_model.py", CRASH + f"    {end}\n")
    done = team.run("-p", "no:faulthandler")
    assert done.returncode < 0, done.stdout
    seen = (team.directory / "seen").read_text()
    assert "tfs_workflow.modelserver" in seen
    assert "tfs_workflow.pytest_plugin.guard" in seen
    until(lambda: serving(team.directory) == [])


def test_what_cannot_be_served_fails_the_test_with_one_message(team: Team) -> None:
    team.write("test_model.py", TEST)
    team.write("pytest.ini", "[pytest]\ntfs_model = nowhere\n")
    done = team.run()
    assert "tfs_server: " in done.stdout
    assert "there is no such file or directory" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    team.write("pytest.ini", "[pytest]\n")
    assert "nothing to serve" in team.run().stdout
    team.write("pytest.ini", "[pytest]\ntfs_model = model\ntfs_runtime = smoke\n")
    message = team.run().stdout
    assert "tfs_server: tfs_runtime: expected one of auto, docker, embedded, native, got 'smoke'" in message
    assert "another exception" not in message


def test_a_run_that_uses_no_fixture_imports_nothing_of_ours(team: Team) -> None:
    team.write(
        "test_light.py",
        "import sys\n"
        "def test_it():\n"
        "    ours = {name for name in sys.modules if name.startswith('tfs_workflow')}\n"
        "    assert ours == {'tfs_workflow', 'tfs_workflow.pytest_plugin'}\n"
        "    assert not {'numpy', 'pydantic', 'requests', 'docker'} & sys.modules.keys()\n",
    )
    done = team.run("-p", "no:xdist", "-p", "no:hypothesispytest")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
