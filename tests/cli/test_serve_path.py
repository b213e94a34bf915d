"""A model of one's own, without a YAML: serve its path, then everything else needs nothing either."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.models import BUNDLED
from tests.support.modelserver import graphs
from tfs_workflow.config.implied_path import implied_path

VERSION = BUNDLED / "00000123"
OWN_YAML = {
    "server": {"rest_port": "auto", "grpc_port": "auto"},
    "models": {"half": {"source": {"bundled": "half_plus_two"}}},
}


class User:
    """Somebody in a directory of their own, with a cache of their own and no YAML."""

    def __init__(self, directory: Path) -> None:
        # Servers of one project are found on the whole machine, so that two tests must not share its name.
        self.directory = directory / f"work-{uuid.uuid4().hex[:8]}"
        self.directory.mkdir()
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("TFS_")}
        self.environment |= {"XDG_CACHE_HOME": str(directory / "cache"), "TFS_RUNTIME": "embedded"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tfs_workflow.cli.program", *words]
        return subprocess.run(
            argv,
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    @property
    def yaml(self) -> Path:
        return implied_path(self.directory, self.environment)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    somebody = User(tmp_path)
    yield somebody
    if somebody.yaml.exists():
        somebody.ok("teardown", "--purge", "--config", str(somebody.yaml))


def flat(directory: Path, name: str) -> Path:
    """A SavedModel as Keras's `model.export` writes it."""
    shutil.copytree(VERSION, directory / name)
    return directory / name


def versioned(directory: Path, name: str) -> Path:
    shutil.copytree(VERSION, directory / name / "3")
    return directory / name


def test_a_flat_model_is_served_and_answers_the_request_that_was_printed(user: User) -> None:
    flat(user.directory, "my model")
    shown = user.ok("serve", "my model").splitlines()
    assert shown[0].startswith("my_model  v1  AVAILABLE  http://127.0.0.1:")
    answer = subprocess.run(["bash", "-c", shown[1]], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == {"predictions": [2.5]}
    assert json.loads(user.ok("predict")) == [2.5]
    assert user.json("status")["models"]["my_model"][0]["state"] == "AVAILABLE"
    assert "Exporting HTTP/REST API" in user.ok("logs")
    assert "removed embedded server" in user.ok("teardown")


def test_a_base_path_and_a_directory_of_several_models(user: User) -> None:
    versioned(user.directory / "several", "one")
    flat(user.directory / "several", "two")
    (user.directory / "several" / "notes.txt").touch()
    assert user.json("serve", "several/one")["models"].keys() == {"one"}
    first = user.json("status")
    both = user.json("serve", "several")
    assert {name: found[0]["version"] for name, found in both["models"].items()} == {"one": 3, "two": 1}
    assert both["rest_url"] == first["rest_url"]
    assert json.loads(user.ok("predict", "--model", "two")) == [2.5]


@pytest.mark.parametrize("program", ["tfs_workflow.cli.program", "invoke"])
def test_the_path_is_an_option_too(user: User, program: str) -> None:
    path = flat(user.directory, "m")
    root = str(Path(__file__).parents[2])
    argv = [sys.executable, "-m", program, *(["-r", root] if program == "invoke" else [])]
    done = subprocess.run(
        [*argv, "serve", "--path", str(path)],
        cwd=user.directory,
        env=user.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "m  v1  AVAILABLE" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serve", "nowhere"], "there is no such file or directory"),
        (["serve", "."], "no model that can be served"),
        (["serve", "m", "--config", "x.yaml"], "exclude each other"),
    ],
)
def test_what_is_not_a_model_ends_in_one_message_and_leaves_nothing(
    user: User, words: list[str], expected: str
) -> None:
    done = user.run(*words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "next step: " in done.stderr
    assert not user.yaml.exists()


def test_a_yaml_of_ones_own_comes_first_for_the_verbs_that_follow(user: User) -> None:
    flat(user.directory, "m")
    (user.directory / "tfs.yaml").write_text(yaml.safe_dump(OWN_YAML))
    done = user.run("serve", "m")
    assert done.returncode == 0, done.stderr
    assert f"--config {user.yaml}" in done.stderr
    assert user.run("status").returncode == 5  # nothing of the own YAML runs
    assert user.json("status", "--config", str(user.yaml))["running"] is True


def test_serve_sets_up_what_is_missing_unless_that_is_not_wanted(user: User) -> None:
    (user.directory / "tfs.yaml").write_text(yaml.safe_dump(OWN_YAML))
    refused = user.run("serve", "--no-setup")
    assert refused.returncode == 2
    assert "next step: tfs setup" in refused.stderr
    done = user.run("serve")
    assert done.returncode == 0, done.stderr
    assert "setup comes first" in done.stderr
    assert (user.directory / ".tfs").is_dir()
    assert user.json("status")["project"] == user.directory.name
    user.ok("teardown", "--purge")


def test_a_dry_run_says_that_setup_comes_first(user: User) -> None:
    flat(user.directory, "m")
    assert "would set up first" in user.ok("serve", "m", "--dry-run")
    assert user.run("status").returncode == 5


def test_config_init_writes_a_yaml_for_models_of_ones_own(user: User) -> None:
    flat(user.directory, "m")
    versioned(user.directory, "other")
    user.ok("config.init", "--model", "mine=m", "--model", "theirs=other")
    written = yaml.safe_load((user.directory / "tfs.yaml").read_text())
    assert written["models"]["mine"] == {"source": {"directory": "./m"}, "example": {"instances": [1.0]}}
    assert "# input   x: float32 any rank" in (user.directory / "tfs.yaml").read_text()
    assert "good" in user.ok("config.check")
    user.ok("serve")
    assert json.loads(user.ok("predict", "--model", "theirs")) == [2.5]
    user.ok("teardown", "--purge")


@pytest.fixture
def tagged(user: User) -> None:
    """A model for a GPU, whose only graph bears the tags {serve, gpu}."""
    version_dir = graphs.plus(user.directory / "m" / "1", 2.0)
    graphs.edited(version_dir, lambda graph: graph.meta_info_def.tags.append("gpu"))


def test_a_model_with_tags_of_its_own_is_set_up_described_and_answers(user: User, tagged: None) -> None:
    """The tags in server.flags hold for every verb (tensorflow/serving #937, #1769)."""
    user.ok("config.init", "--model", "m=./m")
    written = (user.directory / "tfs.yaml").read_text()
    assert yaml.safe_load(written)["server"]["flags"] == {"saved_model_tags": "gpu,serve"}
    assert "# input   x: float32" in written
    user.ok("setup")
    assert list(user.json("describe")["m"]) == ["serving_default"]
    user.ok("serve")
    assert user.ok("predict")
    user.ok("teardown", "--purge")
    (user.directory / "tfs.yaml").write_text(written.replace("gpu,serve", "tpu"))
    assert "the SavedModel's graphs bear: {gpu, serve}" in user.run("setup").stderr


def test_a_path_of_a_model_with_tags_of_its_own(user: User, tagged: None) -> None:
    user.ok("serve", "m")
    assert user.ok("predict")


@pytest.mark.parametrize("given", ["mine", "=m", "mine=", "mine=nowhere"])
def test_config_init_refuses_what_is_not_a_name_and_a_model(user: User, given: str) -> None:
    done = user.run("config.init", "--model", given)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (user.directory / "tfs.yaml").exists()


def test_serve_sends_each_model_one_request(user: User) -> None:
    flat(user.directory, "m")
    assert user.json("serve", "m")["smoke"] == {"m": "answered"}
    assert user.json("serve", "m")["smoke"] == {}  # the same server runs on


def test_a_model_that_is_loaded_and_does_not_answer_is_told(user: User) -> None:
    document: dict[str, Any] = {**OWN_YAML, "models": {"half": {"source": {"bundled": "half_plus_two"}}}}
    document["models"]["half"]["example"] = {"instances": ["text"]}
    (user.directory / "tfs.yaml").write_text(yaml.safe_dump(document))
    done = user.run("serve", "--json")
    assert done.returncode == 0, done.stderr
    assert "half is loaded but fails a request" in done.stderr
    assert "is not of expected type: float" in json.loads(done.stdout)["smoke"]["half"]
    document["models"]["half"]["smoke"] = False
    document["server"] = {**document["server"], "metrics": True}
    (user.directory / "tfs.yaml").write_text(yaml.safe_dump(document))
    assert user.json("serve")["smoke"] == {}
    user.ok("teardown", "--purge")


def test_the_demo_leaves_a_taken_port_alone(user: User) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        document = {**OWN_YAML, "server": {"rest_port": holder.getsockname()[1], "grpc_port": "auto"}}
        (user.directory / "tfs.yaml").write_text(yaml.safe_dump(document))
        done = user.run("demo")
    assert done.returncode == 0, done.stderr
    assert "this demo takes any free one" in done.stderr
    assert "[2.5]" in done.stdout
    user.ok("teardown", "--purge")


def test_the_demo_needs_no_yaml_and_leaves_nothing(user: User) -> None:
    flat(user.directory, "m")
    user.ok("serve", "m")
    user.environment["TMPDIR"] = str(user.directory)
    before = sorted(user.directory.iterdir())
    done = user.run("demo")
    assert done.returncode == 0, done.stderr
    assert "[2.5, 3.0, 4.5]" in done.stdout
    assert "trying again" not in done.stderr
    assert sorted(user.directory.iterdir()) == before
    assert json.loads(user.ok("predict")) == [2.5]  # the model that was served before still is


def test_the_demo_without_a_yaml_prints_json_lines_and_changes_nothing_under_dry_run(user: User) -> None:
    printed = [json.loads(line) for line in user.ok("demo", "--json").splitlines()]
    assert [2.5, 3.0, 4.5] in printed
    assert user.run("demo", "--dry-run").returncode == 0
    assert list(user.directory.iterdir()) == []


def test_an_archive_of_ones_own(user: User) -> None:
    path = flat(user.directory, "m")
    with tarfile.open(user.directory / "model.tar.gz", "w:gz") as tar:
        tar.add(path, ".")
    shutil.rmtree(path)
    assert "model  v1  AVAILABLE" in user.ok("serve", "model.tar.gz")
