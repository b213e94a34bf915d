"""The task surface: every task and option explained, the two doors alike, and importing it cheap."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from tests.support.options import options
from tfs_workflow.cli.tasks import collection

ROOT = Path(__file__).parents[2]
LIFECYCLE = {"setup", "serve", "status", "logs", "teardown", "demo"}
VERBS = LIFECYCLE | {"predict", "describe", "verify", "warmup", "bench", "doctor", "convert", "export"}
CONFIG = {"config.check", "config.schema", "config.init"}


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_both_doors_lead_to_every_verb() -> None:
    packaged = set(collection().task_names)
    assert VERBS | CONFIG | {"image.build"} == packaged
    assert packaged < set(tasks.ns.task_names)
    assert {name for name in set(tasks.ns.task_names) - packaged if not name.startswith("dev.")} == set()


@pytest.mark.parametrize("name", sorted(collection().task_names))
def test_every_task_and_option_has_a_help_text(name: str) -> None:
    task = collection()[name]
    assert task.__doc__
    assert len(task.__doc__.splitlines()[0]) < 60
    for argument in options(name):
        assert argument.help, argument.name


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_has_the_common_options(name: str) -> None:
    assert {"config", "json", "verbose", "dry_run"} <= {argument.name for argument in options(name)}


def test_listing_the_tasks_imports_nothing_that_only_running_them_needs() -> None:
    program = (
        "import sys, tfs_workflow.cli.tasks\n"
        "heavy = {'docker', 'requests', 'pydantic', 'rich', 'loguru', 'tenacity', 'numpy', 'psutil', 'grpc'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_console_command_lists_the_same() -> None:
    done = run("tfs_workflow.cli.program", "--list")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)
    assert run("tfs_workflow.cli.program", "--version").stdout.startswith("tfs 0.")


def test_an_unknown_option_is_named_without_a_traceback() -> None:
    done = run("tfs_workflow.cli.program", "serve", "--folow")
    assert done.returncode != 0
    assert "--folow" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_yaml_leads_to_config_init(tmp_path: Path) -> None:
    done = run("tfs_workflow.cli.program", "setup", "--config", str(tmp_path / "tfs.yaml"))
    assert done.returncode == 2
    assert "config.init" in done.stderr


def test_config_init_writes_a_yaml_that_is_good_and_never_overwrites_one(tmp_path: Path) -> None:
    path = str(tmp_path / "tfs.yaml")
    assert run("tfs_workflow.cli.program", "config.init", "--path", path).returncode == 0
    assert (tmp_path / "schema.json").exists()
    assert "good" in run("tfs_workflow.cli.program", "config.check", "--config", path).stdout
    Path(path).write_text("mine")
    assert run("tfs_workflow.cli.program", "config.init", "--path", path).returncode == 2
    assert Path(path).read_text() == "mine"


def test_output_to_a_reader_that_went_away_is_no_error() -> None:
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", "config.check", "--json", "--config", "config/tfs.yaml"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_needs_a_terminal_that_wants_it(environment: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", "setup", "--config", "/nowhere.yaml"]
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        argv, stderr=theirs, stdout=subprocess.DEVNULL, env=clean | {"TERM": "xterm"} | environment
    )
    os.close(theirs)
    process.wait(60)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert (b"\x1b[" in shown) == coloured
    assert b"nowhere.yaml" in shown
