"""The YAML as a user writes it, right and wrong, from the file to the frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfs_workflow.config.load import LoadedConfig, load
from tfs_workflow.config.types import BundledSource, DirectorySource, GitSource, Latest
from tfs_workflow.errors import ConfigError
from tfs_workflow.sources.registry import model_source

ROOT = Path(__file__).parents[2]
MINIMAL = "project: p\nmodels:\n  m: {source: {bundled: half_plus_two}}\n"


def loaded(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **options: Any) -> LoadedConfig:
    path = tmp_path / "tfs.yaml"
    path.write_text(text)
    return load(path, environ=environ or {}, **options)


def lines(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    """The error's lines, without the directory of the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, environ, **options)
    assert caught.value.exit_code == 2
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]


def model(text: str) -> str:
    """A whole YAML around one model written in flow style; the model starts at 3:6."""
    return f"project: p\nmodels:\n  m: {{source: {{bundled: half_plus_two}}, {text}}}\n"


def test_the_default_configuration_is_the_tutorials() -> None:
    config = load(ROOT / "config/tfs.yaml", environ={}).config
    only = config.models["half_plus_two"]
    assert (config.project, config.workspace, config.runtime) == ("half-plus-two", "/tmp/tfserving", "auto")
    assert isinstance(only.source[0], GitSource)
    assert only.source[0].ref == "2.20.0"
    assert only.source[1] == BundledSource(bundled="half_plus_two")
    assert only.example is not None
    assert only.example.instances == [1.0, 2.0, 5.0]


@pytest.mark.parametrize("path", sorted((ROOT / "config/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads(path: Path) -> None:
    assert load(path, environ={}).config.models


def test_one_source_stands_for_a_list_of_one(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL).config
    assert config.models["m"].source == (BundledSource(bundled="half_plus_two"),)


@pytest.mark.parametrize(
    ("written", "policy"),
    [("latest", "latest"), ("all", "all"), ("{latest: 2}", Latest(latest=2)), ("[1, 123]", (1, 123))],
)
def test_version_policies(tmp_path: Path, written: str, policy: object) -> None:
    assert loaded(tmp_path, model(f"versions: {written}")).config.models["m"].versions == policy


def test_all_errors_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        "project: p\nserver:\n  rest_port: eighty\n  memoy: 2g\n  pids: 3\nmodels:\n"
        "  m:\n    source: {git: x, reff: y}\n    versions: 3\n    versions: 4\n",
        {"TFS_SERVER__STOP_TIMEOUT_S": "soon"},
    )
    assert found == [
        "tfs.yaml:3:14: server.rest_port: expected a port (1-65535) or 'auto', got 'eighty'",
        "tfs.yaml:4:3: server.memoy: unknown key; did you mean 'memory'?",
        "tfs.yaml:5:9: server.pids: expected a number of at least 16 or 'auto', got 3",
        "tfs.yaml:8:22: models.m.source.reff: unknown key; did you mean 'ref'?",
        "tfs.yaml:10:5: models.m.versions: duplicate key, first at " + str(tmp_path / "tfs.yaml:9:5"),
        "TFS_SERVER__STOP_TIMEOUT_S: server.stop_timeout_s: expected a whole number, got 'soon'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "tfs.yaml: an empty file"),
        ("- a\n", "tfs.yaml:1:1: expected a mapping, got a list"),
        ("hello\n", "tfs.yaml:1:1: expected a mapping, got 'hello'"),
        ("models: {}\n", "tfs.yaml:1:9: models: expected at least 1 of them, got an empty mapping"),
        ("project: p\nmodels: {}\n", "tfs.yaml:2:9: models: expected at least 1 of them, got an empty mapping"),
        ("project: p\nmodels:\n", "tfs.yaml:2:8: models: expected a mapping, got nothing"),
        ("project: half plus\n", "tfs.yaml:1:10: project: expected a name of at most 63 letters"),
        ("runtime: dockr\n", "tfs.yaml:1:10: runtime: expected 'auto', 'docker', 'embedded' or 'native', got 'dockr'"),
        ("server: {image: 2.20}\n", "tfs.yaml:1:17: server.image: expected an image reference such as"),
        (
            "server: {rest_port: 70000}\n",
            "tfs.yaml:1:21: server.rest_port: expected a port (1-65535) or 'auto', got 70000",
        ),
        ("server: {rest_port: 0x1F}\n", "tfs.yaml:1:1: "),
        ("server: {expose: 'yes'}\n", "tfs.yaml:1:18: server.expose: expected true or false, got 'yes'"),
        (
            "server: {ready_timeout_s: .inf}\n",
            "tfs.yaml:1:27: server.ready_timeout_s: expected a finite number, got .inf",
        ),
        ("server: {rest_port: 90, grpc_port: 90}\n", "tfs.yaml:1:36: server.grpc_port: expected another port than"),
        ("server: {memory: 2GB}\n", "tfs.yaml:1:18: server.memory: expected a size such as 512m or 2g, got '2GB'"),
        ("server: {memory: 512}\n", "tfs.yaml:1:18: server.memory: expected a size such as 512m or 2g, got 512, which"),
        (
            "server: {flags: {port: 1}}\n",
            "tfs.yaml:1:18: server.flags.port: set by this tool; use the key server.grpc_port",
        ),
        ("server: {flags: {bind_address: x}}\n", "tfs.yaml:1:18: server.flags.bind_address: set by this tool; use"),
        ("server: {flags: {--x: 1}}\n", "tfs.yaml:1:18: server.flags.--x: expected a flag's name without dashes"),
        (
            "server: {batching: {allowed_batch_sizes: [8, 4]}}\n",
            "tfs.yaml:1:42: server.batching.allowed_batch_sizes: expected",
        ),
        (
            "server: {batching: {max_batch_size: 16, allowed_batch_sizes: [4, 8]}}\n",
            "tfs.yaml:1:62: server.batching.allowed_batch_sizes: expected the last size to be max_batch_size (16)",
        ),
    ],
)
def test_mistakes_around_the_models(tmp_path: Path, text: str, expected: str) -> None:
    found = lines(tmp_path, text)
    assert [line for line in found if line.startswith(expected)], found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("versions: []", "models.m.versions: expected latest, all, a mapping such as latest: 2, or a list of versions"),
        ("versions: newest", "models.m.versions: expected latest, all, a mapping such as latest: 2"),
        ("versions: {lates: 2}", "models.m.versions.lates: unknown key; did you mean 'latest'?"),
        ("versions: [00000123]", "models.m.versions.0: YAML 1.1 reads 00000123 as octal, which is 83: write 123"),
        (
            "versions: [00000189]",
            "models.m.versions.0: expected a version number (0 or above), got '00000189': write 189",
        ),
        ("versions: [-1]", "models.m.versions.0: expected a version number (0 or above), got -1"),
        ("versions: [1, 1]", "models.m.versions: expected each version once, got 1 twice"),
        ("versions: [1, 2], labels: {a: 3}", "models.m.labels.a: expected one of the listed versions (1, 2), got 3"),
        ("labels: {a-b: 1}", "models.m.labels.a-b: expected a label of letters, digits and '_', got 'a-b'"),
        ("labels: {a: on}", "models.m.labels.a: expected a version number (0 or above), got on"),
        ("example: {}", "models.m.example: expected exactly one of instances and inputs"),
        ("example: {instances: 3}", "models.m.example.instances: expected a list, got 3"),
    ],
)
def test_mistakes_in_a_model(tmp_path: Path, text: str, expected: str) -> None:
    found = lines(tmp_path, model(text))
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith("tfs.yaml:3:")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{git: x, ref: 2.20}",
            "source.ref: expected a branch, tag or commit, got 2.20, which YAML reads as a number: put it",
        ),
        (
            "{git: x, ref: on}",
            "source.ref: expected a branch, tag or commit, got on, which YAML reads as a boolean: put it in",
        ),
        ("{git: x, ref: -x}", "source.ref: expected a branch, tag or commit, got '-x'"),
        ("{git: x, sha256: y}", "source.sha256: unknown key; known here: git, ref, path"),
        ("{git: 'ext::sh -c x'}", "source.git: expected a repository address (https, ssh, git or file), got 'ext::"),
        ("{git: --upload-pack=x}", "source.git: expected a repository address"),
        ("{git: x, path: /etc}", "source.path: expected a relative path without '..', got '/etc'"),
        ("{git: x, path: a/../../b}", "source.path: expected a relative path without '..'"),
        ("{gti: x}", "source.gti: unknown key; did you mean 'git'?"),
        ("{git: x, directory: y}", "source: expected a mapping with exactly one of the keys git, archive, directory"),
        (
            "half_plus_two",
            "source: expected a mapping with exactly one of the keys git, archive, directory, store and bundled",
        ),
        ("[]", "source: expected a source or a list of sources, got an empty list"),
        ("[{git: x}, {archive: 'http://x', sha256: y}]", "source.1.sha256: expected 64 lower-case hexadecimal digits"),
        ("{archive: 'ftp://x/m.tar'}", "or .zip file, got 'ftp://x/m.tar'"),
        ("{archive: ./model.rar}", "source.archive: expected an http or https address, or a path of a .tar, .tar.gz"),
        ("{store: 'http://x/y'}", "source.store: expected an address such as s3://bucket/path, gs://bucket/path"),
        ("{store: 's3://me:hush@x/y'}", "got 's3://***@x/y'"),
        ("{store: 'hf://name'}", "or hf://owner/name@revision/path, got 'hf://name'"),
        ("{bundled: half}", "source.bundled: expected 'half_plus_two', got 'half'"),
        ("{directory: ''}", "source.directory: expected text that is not empty, got ''"),
    ],
)
def test_a_wrong_source_is_explained_by_the_one_that_was_meant(tmp_path: Path, source: str, expected: str) -> None:
    found = [line for line in lines(tmp_path, f"project: p\nmodels:\n  m: {{source: {source}}}\n") if expected in line]
    assert len(found) == 1


def test_a_misspelt_source_is_one_error(tmp_path: Path) -> None:
    assert len(lines(tmp_path, "project: p\nmodels:\n  m: {source: {gti: x}}\n")) == 1


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    found = lines(tmp_path, "project: p\nmodels:\n  m: {source: {archive: 'ftp://me:hush@x/y', sha256: z}}\n")
    assert "hush" not in "".join(found)
    assert "ftp://***@x/y" in found[0]


@pytest.mark.parametrize(
    "address", ["https://h:8/x", "git@h.org:o/r.git", "ssh://git@h/x", "file:///x", "/srv/x.git", "./x"]
)
def test_every_kind_of_git_address_is_taken(tmp_path: Path, address: str) -> None:
    source = loaded(tmp_path, f"project: p\nmodels:\n  m: {{source: {{git: '{address}'}}}}\n").config.models["m"].source
    assert source == (GitSource(git=address),)


def test_types_never_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(tmp_path, MINIMAL).config.server.pids = 3


def test_relative_paths_start_at_the_yaml(tmp_path: Path) -> None:
    text = "project: p\nworkspace: ws\nmodels:\n  m: {source: {directory: ../models/m}}\n"
    config = loaded(tmp_path, text)
    (source,) = config.config.models["m"].source
    assert config.workspace == tmp_path / "ws"
    assert isinstance(source, DirectorySource)
    assert model_source(source, config.path.parent).base_path == tmp_path.parent / "models/m"


def test_a_model_name_with_a_space_is_named_where_it_stands(tmp_path: Path) -> None:
    text = (
        "project: p\nmodels:\n  m: {source: {bundled: half_plus_two}}\n  my model: {source: {bundled: x}, verions: 1}\n"
    )
    assert lines(tmp_path, text) == [
        "tfs.yaml:4:3: models.my model: expected a name of at most 63 letters, digits, '_', '.' and '-' that starts "
        "with a letter or digit, got 'my model'",
        "tfs.yaml:4:32: models.my model.source.bundled: expected 'half_plus_two', got 'x'",
        "tfs.yaml:4:36: models.my model.verions: unknown key; did you mean 'versions'?",
    ]


def test_the_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert loaded(tmp_path, "workspace: ~/ws\n" + MINIMAL).workspace == Path("/home/me/ws")


def test_option_before_environment_before_yaml_before_default(tmp_path: Path) -> None:
    text = MINIMAL + "server: {pids: 100}\n"
    environ = {"TFS_SERVER__PIDS": "200"}
    options = {"server.pids": 300}
    assert loaded(tmp_path, MINIMAL).config.server.pids == "auto"
    assert loaded(tmp_path, text).config.server.pids == 100
    assert loaded(tmp_path, text, environ).config.server.pids == 200
    assert loaded(tmp_path, text, environ, options=options).config.server.pids == 300


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    found = lines(tmp_path, MINIMAL, options={"runtime": "dokcer"})
    assert found == ["--runtime: runtime: expected 'auto', 'docker', 'embedded' or 'native', got 'dokcer'"]


def test_the_file_is_found_by_variable_then_by_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"config/tfs.yaml: no such file"):
        load(environ={})
    Path("tfs.yaml").write_text(MINIMAL)
    assert load(environ={}).path == Path("tfs.yaml")
    Path("config").mkdir()
    Path("config/tfs.yaml").write_text(MINIMAL)
    assert load(environ={}).path == Path("config/tfs.yaml")
    Path("other.yaml").write_text(MINIMAL)
    assert load(environ={"TFS_CONFIG": "other.yaml"}).path == Path("other.yaml")
    assert load("tfs.yaml", environ={"TFS_CONFIG": "other.yaml"}).path == Path("tfs.yaml")


PIECES = [
    *(
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "\n",
        "\t",
        "&a ",
        "*a",
        "<<: ",
        "'",
        '"',
        "# ",
        "---\n",
        "? ",
        "| ",
        "> ",
        "\x00",
        "é",
    ),
    *("null", "true", "1e3", "0x10", "010", "1:30", ".nan", "~", "!!int ", "source", "git", "versions"),
]
DEFAULT = (ROOT / "config/tfs.yaml").read_text()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DEFAULT)), st.integers(0, 20), st.sampled_from(PIECES)), max_size=4))
def test_whatever_the_text_the_answer_is_a_configuration_or_plain_words(
    tmp_path: Path, edits: list[tuple[int, int, str]]
) -> None:
    text = DEFAULT
    for start, cut, piece in edits:
        text = text[:start] + piece + text[start + cut :]
    try:
        said = str(loaded(tmp_path, text).path)
    except ConfigError as error:
        said = str(error)
    assert said.startswith(f"{tmp_path}/tfs.yaml")
    assert not [word for word in ("pydantic", "Input should", "Value error", "validation") if word in said]
