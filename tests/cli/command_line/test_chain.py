"""Common options at every place of a chain, under both programs; and the options of Invoke that would mislead."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

from tests.support.command import BUNDLED
from tfs_workflow.cli.command import CommandOptions
from tfs_workflow.cli.command_line.chain import contexts_by_name, read_chain
from tfs_workflow.cli.tasks import collection
from tfs_workflow.errors import ConfigError

ROOT = Path(__file__).parents[3]
TFS = [sys.executable, "-m", "tfs_workflow.cli.program"]
INVOKE = [sys.executable, "-m", "invoke", "--search-root", str(ROOT)]
CHAIN = ["setup", "serve", "status"]
OPTIONS = [["--config", "x.yaml"], ["--config=x.yaml"], ["--json"], ["--verbose"], ["--dry-run"]]


def placed(option: list[str], position: int) -> list[str]:
    return [*CHAIN[:position], *option, *CHAIN[position:]]


@pytest.mark.parametrize(("option", "position"), list(product(OPTIONS, range(len(CHAIN) + 1))), ids=str)
def test_an_option_counts_for_the_whole_chain_wherever_it_stands(option: list[str], position: int) -> None:
    chain = read_chain(placed(option, position), contexts_by_name(collection().to_contexts()))
    assert chain.verbs == tuple(CHAIN)
    assert chain.words == tuple(CHAIN)
    name = option[0].partition("=")[0].lstrip("-").replace("-", "_")
    expected = CommandOptions(**{name: "x.yaml" if name == "config" else True})  # type: ignore[arg-type]
    assert chain.options == expected


def test_the_value_of_another_option_is_neither_an_option_nor_a_verb() -> None:
    words = ["predict", "--instances", "--json", "--input", "serve", "--label=status"]
    chain = read_chain(words, contexts_by_name(collection().to_contexts()))
    assert chain.options == CommandOptions()
    assert chain.verbs == ("predict",)
    assert chain.words == tuple(words)


@pytest.mark.parametrize("words", [["--config", "a", "setup", "--config", "b"], ["setup", "--config"], ["--config="]])
def test_two_files_or_none_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError):
        read_chain(words, contexts_by_name(collection().to_contexts()))


@pytest.fixture
def two_projects(tmp_path: Path) -> Path:
    """tfs.yaml, the default, and other.yaml; each with a workspace that was set up."""
    for name in ("tfs", "other"):
        config = {
            "project": f"chain-{name}",
            "workspace": str(tmp_path / f"workspace-{name}"),
            "runtime": "embedded",
            "server": {"rest_port": "auto", "grpc_port": "auto"},
            "models": {"half_plus_two": {"source": [BUNDLED]}},
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
        assert run(TFS, tmp_path, "setup", "--config", f"{name}.yaml").returncode == 0
    return tmp_path


def run(program: list[str], directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *words], cwd=directory, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (TFS, ["--config", "other.yaml", "config.check", "teardown", "--purge"]),
        (TFS, ["config.check", "--config", "other.yaml", "teardown", "--purge"]),
        (TFS, ["config.check", "teardown", "--purge", "--config", "other.yaml"]),
        (INVOKE, ["config.check", "--config", "other.yaml", "teardown", "--purge"]),
        (INVOKE, ["config.check", "teardown", "--purge", "--config", "other.yaml"]),
    ],
)
def test_teardown_removes_the_named_project_and_no_other(
    two_projects: Path, program: list[str], words: list[str]
) -> None:
    done = run(program, two_projects, *words)
    assert done.returncode == 0, done.stderr
    assert "other.yaml: good" in done.stdout
    assert (two_projects / "workspace-tfs").exists()
    assert not (two_projects / "workspace-other").exists()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (INVOKE, ["--config", "other.yaml", "teardown", "--purge"]),
        (INVOKE, ["-f", "other.yaml", "teardown", "--purge"]),
        (INVOKE, ["--echo", "teardown", "--purge"]),
        (INVOKE, ["--command-timeout", "5", "teardown", "--purge"]),
        (INVOKE, ["teardown", "--purge", "--warn-only"]),
        (TFS, ["-f", "other.yaml", "teardown", "--purge"]),
        (TFS, ["-R", "teardown", "--purge"]),
        (TFS, ["teardown", "--purge", "--echo"]),
        (TFS, ["--config", "tfs.yaml", "teardown", "--purge", "--config", "other.yaml"]),
        (INVOKE, ["config.check", "--config", "tfs.yaml", "teardown", "--purge", "--config", "other.yaml"]),
    ],
)
def test_an_option_that_would_mislead_is_refused_before_anything_happens(
    two_projects: Path, program: list[str], words: list[str]
) -> None:
    done = run(program, two_projects, *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert (two_projects / "workspace-tfs").exists()
    assert (two_projects / "workspace-other").exists()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (TFS, ["--dry-run", "teardown", "--purge"]),
        (TFS, ["teardown", "--purge", "--dry-run"]),
        (INVOKE, ["--dry", "teardown", "--purge"]),
        (INVOKE, ["-R", "teardown", "--purge"]),
        (INVOKE, ["teardown", "--purge", "--dry-run"]),
        (INVOKE, ["teardown", "--purge", "status", "--dry-run"]),
    ],
)
def test_a_dry_run_removes_nothing_and_prints_what_it_would_remove(
    two_projects: Path, program: list[str], words: list[str]
) -> None:
    done = run(program, two_projects, *words)
    assert (two_projects / "workspace-tfs").exists()
    assert f"would remove workspace {two_projects / 'workspace-tfs'}" in done.stdout


def test_a_chain_prints_one_json_document_a_line(two_projects: Path) -> None:
    done = run(TFS, two_projects, "config.check", "setup", "teardown", "--json")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [sorted(document)[0] for document in documents] == ["config", "image_digest", "image"]
    assert len(documents) == 3


def test_a_verb_that_is_named_twice_runs_twice(two_projects: Path) -> None:
    done = run(TFS, two_projects, "config.check", "config.check")
    assert done.stdout.count("good") == 2
