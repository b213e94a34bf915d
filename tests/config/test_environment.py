"""Values from the environment: where they land, and what is wrong with those that land nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command import CommandLine
from tfs_workflow.config.load import LoadedConfig, load
from tfs_workflow.config.types import ArchiveSource, Config
from tfs_workflow.errors import ConfigError

YAML = """\
project: p
models:
  half_plus_two: {source: {bundled: half_plus_two}, labels: {stable: 1}}
  b-1.x__y:
    source:
      - {git: a, ref: b}
      - {archive: http://a, sha256: %s}
""" % ("0" * 63 + "a")


def overridden(tmp_path: Path, environ: Mapping[str, str]) -> Config:
    return load_with(tmp_path, environ).config


def load_with(tmp_path: Path, environ: Mapping[str, str]) -> LoadedConfig:
    path = tmp_path / "tfs.yaml"
    path.write_text(YAML)
    return load(path, environ=environ)


def refused(tmp_path: Path, environ: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        overridden(tmp_path, environ)
    return str(caught.value)


def test_values_are_read_as_yaml(tmp_path: Path) -> None:
    config = overridden(
        tmp_path,
        {
            "TFS_SERVER__REST_PORT": "auto",
            "tfs_server__pids": "64",
            "TFS_SERVER__BATCHING": "{max_batch_size: 4, allowed_batch_sizes: [2, 4]}",
            "TFS_MODELS__HALF_PLUS_TWO__VERSIONS": "[1, 2]",
            "TFS_SERVER__FLAGS__NUM_LOAD_THREADS": "4",
            "TFS_MODELS__HALF_PLUS_TWO__LABELS__CANARY": "2",
        },
    )
    assert config.server.rest_port == "auto"
    assert config.server.pids == 64
    assert config.server.batching is not None
    assert config.server.batching.allowed_batch_sizes == (2, 4)
    assert config.server.flags == {"num_load_threads": 4}
    assert config.models["half_plus_two"].versions == (1, 2)
    assert config.models["half_plus_two"].labels == {"stable": 1, "canary": 2}


def test_the_whole_and_then_its_parts(tmp_path: Path) -> None:
    server = overridden(tmp_path, {"TFS_SERVER__PIDS": "20", "TFS_SERVER": "{pids: 30, expose: true}"}).server
    assert (server.pids, server.expose) == (20, True)


def test_a_source_by_its_place_and_a_name_with_other_characters(tmp_path: Path) -> None:
    source = (
        overridden(tmp_path, {"TFS_MODELS__B_1_X__Y__SOURCE__1__ARCHIVE": "http://b/c"}).models["b-1.x__y"].source[1]
    )
    assert isinstance(source, ArchiveSource)
    assert source.archive == "http://b/c"


def test_a_single_source_takes_its_keys_without_a_place(tmp_path: Path) -> None:
    assert "TFS_MODELS__HALF_PLUS_TWO__SOURCE__BUNDLED: models.half_plus_two.source.bundled: expected" in refused(
        tmp_path, {"TFS_MODELS__HALF_PLUS_TWO__SOURCE__BUNDLED": "x"}
    )


def test_an_override_heals_what_the_file_has_wrong(tmp_path: Path) -> None:
    path = tmp_path / "tfs.yaml"
    path.write_text(YAML + "server: {rest_port: 00080}\n")
    assert load(path, environ={"TFS_SERVER__REST_PORT": "8080"}).config.server.rest_port == 8080


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    environ = {"TFS_TEST_IMAGE": "x", "TFS_CONFIG": "y", "TFS_WORKFLOW_PROJECT": "z", "TFSERVER": "1", "HOME": "/"}
    assert load_with(tmp_path, environ).overrides == ()


def test_variables_of_other_programs_are_named_and_have_no_effect(tmp_path: Path) -> None:
    """Kubernetes sets these in every pod beside a service named tfs."""
    environ = {
        "TFS_PORT": "tcp://10.96.0.1:8501",
        "TFS_SERVICE_HOST": "10.96.0.1",
        "TFS_PORT_8501_TCP": "tcp://10.96.0.1:8501",
        "TFS_SREVER__REST_PORT": "1",
        "TFS_": "",
    }
    loaded = load_with(tmp_path, environ)
    assert loaded.config == load_with(tmp_path, {}).config
    assert loaded.foreign == (
        "TFS_",
        "TFS_PORT",
        "TFS_PORT_8501_TCP",
        "TFS_SERVICE_HOST",
        "TFS_SREVER__REST_PORT (did you mean TFS_SERVER__REST_PORT?)",
    )


def test_a_run_warns_once_of_variables_of_other_programs(tmp_path: Path) -> None:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    line.environment = {"TFS_PORT": "tcp://10.96.0.1:8501"}
    done = line.run("config.check", "config.check")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ignored, as they name no key of the YAML: TFS_PORT") == 1


def test_the_variables_that_applied_are_kept(tmp_path: Path) -> None:
    assert load_with(tmp_path, {"TFS_SERVER__PIDS": "64"}).overrides == ("TFS_SERVER__PIDS",)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TFS_SERVER__REST_PROT", "1", "TFS_SERVER__REST_PROT: stands for no key; did you mean TFS_SERVER__REST_PORT?"),
        ("TFS_SERVER__IMGE", "1", "TFS_SERVER__IMGE: stands for no key; did you mean TFS_SERVER__IMAGE?"),
        ("TFS_SERVER__X", "1", "TFS_SERVER__X: stands for no key; known: TFS_SERVER__IMAGE, TFS_SERVER__EXPOSE"),
        ("TFS_MODELS__HALF__VERSIONS", "all", "TFS_MODELS__HALF__VERSIONS: stands for no key; "),
        ("TFS_RUNTIME__X", "1", "TFS_RUNTIME__X: stands for no key: nothing is below TFS_RUNTIME"),
        (
            "TFS_SERVER__REST_PORT",
            "eighty",
            "TFS_SERVER__REST_PORT: server.rest_port: expected a port (1-65535) or 'auto'",
        ),
        ("TFS_SERVER__BATCHING", "{max: ", "TFS_SERVER__BATCHING: server.batching: not YAML"),
        (
            "TFS_SERVER__BATCHING",
            "{max_batch: 1}",
            "TFS_SERVER__BATCHING: server.batching.max_batch: unknown key; did you",
        ),
        (
            "TFS_MODELS__HALF_PLUS_TWO__VERSIONS",
            "[010]",
            "TFS_MODELS__HALF_PLUS_TWO__VERSIONS: models.half_plus_two.versions.0",
        ),
        ("TFS_SERVER__IMAGE", "2.20", "TFS_SERVER__IMAGE: server.image: expected an image reference such as"),
        (
            "TFS_MODELS__B_1_X__Y__SOURCE__2__GIT",
            "x",
            "TFS_MODELS__B_1_X__Y__SOURCE__2__GIT: stands for no key; known: ",
        ),
    ],
)
def test_errors_name_the_variable(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert expected in refused(tmp_path, {name: text})
