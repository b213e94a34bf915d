"""The commands of the pages run in their order and print what the pages show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.support.exported import export_models
from tests.support.models import BUNDLED
from tests.support.page import DOCS, PageDirectory, page_files, page_steps

pytestmark = pytest.mark.slow
COOKBOOK = (DOCS / "cookbook.md").read_text()
CI = (DOCS / "ci.md").read_text()
TUTORIAL = "## The tutorial's model"


def test_every_command_of_the_cookbook_prints_what_it_shows(tmp_path: Path) -> None:
    lab, steps = PageDirectory(tmp_path, page_files(COOKBOOK)), page_steps(COOKBOOK)
    (tmp_path / "models").mkdir()
    export_models(tmp_path / "models")
    Image.new("RGB", (8, 8), (51, 102, 255)).save(tmp_path / "photo.png")
    assert len(steps) == COOKBOOK.count("\n$ ")
    try:
        lab.run("tfs setup serve")
        for command, output in steps:
            assert lab.run(command) == output, command
    finally:
        lab.run("tfs teardown --purge")


@pytest.mark.parametrize("name", ["verify.md", "warmup.md"])
def test_every_command_of_a_page_prints_what_it_shows(tmp_path: Path, name: str) -> None:
    page = (DOCS / name).read_text()
    lab, steps = PageDirectory(tmp_path, page_files(page)), page_steps(page)
    assert len(steps) == page.count("\n$ ")
    try:
        for command, output in steps:
            assert without_notes(lab.run(command)) == output, command
    finally:
        lab.run("tfs teardown --purge")


def test_a_first_model_test_passes(tmp_path: Path) -> None:
    page = (DOCS / "pytest.md").read_text()
    lab, ((command, output),) = PageDirectory(tmp_path, page_files(page)), page_steps(page)
    shutil.copytree(BUNDLED, tmp_path / "my_model")
    assert lab.run(command) == output


def without_notes(printed: str) -> str:
    """The output without the lines about progress."""
    return "".join(line for line in printed.splitlines(keepends=True) if not line.startswith("INFO "))


def test_the_ci_job_passes(tmp_path: Path) -> None:
    golden = '{"request": {"instances": [1.0, 2.0]}, "response": {"predictions": [2.5, 3.0]}}\n'
    lab = PageDirectory(tmp_path, page_files(CI) | {"golden.jsonl": golden})
    lab.environment["TFS_MODELS__HALF_PLUS_TWO__SOURCE"] = "{bundled: half_plus_two}"
    lab.environment["TFS_MODELS__HALF_PLUS_TWO__GOLDEN"] = "golden.jsonl"
    job = yaml.safe_load(page_files(CI)[".github/workflows/model.yml"])["jobs"]["serve"]
    lab.environment |= job["env"]
    commands = [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("pip ")]
    lab.run("tfs config.init && tfs setup && tfs teardown --purge")
    try:
        for command in commands[:-1]:
            lab.run(command)
    finally:
        assert "removed embedded server" in lab.run(commands[-1])


def test_the_commands_for_a_model_of_ones_own_succeed(tmp_path: Path) -> None:
    section = (DOCS / "getting-started.md").read_text().partition(TUTORIAL)[0]
    lab = PageDirectory(tmp_path, {})
    shutil.copytree(BUNDLED / "00000123", tmp_path / "my_model")
    run_and_compare_predictions(lab, page_steps(section), {"serve", "describe", "predict", "teardown"})


@pytest.mark.parametrize("name", ["getting-started.md", "getting-started.pt.md"])
def test_the_commands_of_the_lab_succeed(tmp_path: Path, name: str) -> None:
    lab = PageDirectory(tmp_path, {})
    lab.environment["TFS_MODELS__HALF_PLUS_TWO__SOURCE"] = "{bundled: half_plus_two}"
    steps = page_steps((DOCS / name).read_text().rpartition(TUTORIAL)[2])
    run_and_compare_predictions(lab, steps, {"config.init", "setup", "serve", "predict", "teardown"})


def test_the_commands_of_the_page_about_bench_succeed(tmp_path: Path) -> None:
    page = (DOCS / "bench.md").read_text()
    lab, steps = PageDirectory(tmp_path, page_files(page)), page_steps(page)
    # What a machine of the tests reaches is no question of the page.
    lab.environment["TFS_MODELS__HALF_PLUS_TWO__SLO"] = "{p99_ms: 60000, rate: 1}"
    try:
        lab.run("tfs setup serve")
        for command, output in steps:
            printed = lab.run(command)
            assert output.splitlines()[0] in printed.splitlines(), command
            assert output.splitlines()[1].split() in [line.split() for line in printed.splitlines()], command
        assert {path.name for path in tmp_path.iterdir()} >= {"before.json", "report.html", "bench.svg"}
    finally:
        lab.run("tfs teardown --purge")


def run_and_compare_predictions(lab: PageDirectory, steps: list[tuple[str, str]], verbs: set[str]) -> None:
    """Run a transcript; ports, ids and times differ in the other verbs' output."""
    assert {command.split()[1] for command, _ in steps} >= verbs
    try:
        for command, output in steps:
            printed = lab.run(command)
            if command.startswith(("tfs predict", "tfs config")):
                assert printed == output
    finally:
        lab.run("tfs teardown --purge")
