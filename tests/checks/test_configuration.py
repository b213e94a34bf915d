"""What TensorFlow Serving would refuse or leave out without a word, told from the YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checks.findings import is_ok, one
from tfs_workflow.checks.finding import Finding, FindingStatus
from tfs_workflow.checks.settings import EMBEDDED_FLAGS, FLAG_SINCE, broken, configuration_findings, known_flags
from tfs_workflow.config.load import load
from tfs_workflow.errors import ConfigError
from tfs_workflow.modelserver.flags import FLAGS

MODEL = {"source": {"bundled": "half_plus_two"}}
OFFICIAL = "tensorflow/serving:2.20.0"


def checked(directory: Path, runtime: str = "docker", model: Any = MODEL, **server: Any) -> list[Finding]:
    path = directory / "tfs.yaml"
    path.write_text(yaml.safe_dump({"project": "p", "server": server, "models": {"m": model}}))
    return list(configuration_findings(load(path, environ={}), runtime))


def test_a_good_configuration(tmp_path: Path) -> None:
    flags = {"num_load_threads": 2, "enable_model_warmup": False, "file_system_poll_wait_seconds": 0}
    assert is_ok(checked(tmp_path, flags=flags, memory="2g"))
    assert is_ok(checked(tmp_path, "embedded", flags={"drain_seconds": 1.5}))


@pytest.mark.parametrize(
    ("flag", "fix"),
    [
        ("num_load_thread", "did you mean num_load_threads?"),
        ("max_batch_size", "server.batching.max_batch_size"),
        ("drain_seconds", "--help"),
        ("zzz", "--help"),
    ],
)
def test_a_flag_that_the_server_does_not_know(tmp_path: Path, flag: str, fix: str) -> None:
    found = one(checked(tmp_path, flags={flag: 1}), f"configuration: server.flags.{flag}")
    assert found.status is FindingStatus.WARNING
    assert fix in found.fix


@pytest.mark.parametrize(
    ("image", "known"),
    [("tensorflow/serving:2.7.4", False), ("mirror/tensorflow/serving:2.7.4-gpu", False), (OFFICIAL, True),
     ("tensorflow/serving:2.8.0", True), ("own/server:1.0", True), ("tensorflow/serving:nightly", True)],
)  # fmt: skip
def test_a_flag_that_came_after_the_image(tmp_path: Path, image: str, known: bool) -> None:
    found = checked(tmp_path, image=image, flags={"num_request_iterations_for_warmup": 2})
    flag = [f for f in found if f.check == "configuration: server.flags.num_request_iterations_for_warmup"]
    assert [f.status for f in flag] == ([] if known else [FindingStatus.WARNING])
    assert all("2.8 or later" in f.evidence for f in flag)


def test_only_flags_of_the_server_are_dated() -> None:
    assert set(FLAG_SINCE) <= {flag.name for flag in FLAGS}


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("num_load_threads", "many"),
        ("enable_model_warmup", "perhaps"),
        ("file_system_poll_wait_seconds", -1),
        ("ssl_config_file", "/etc/ssl.conf"),
    ],
)
def test_a_flag_that_would_keep_the_server_from_starting(tmp_path: Path, flag: str, value: Any) -> None:
    found = one(checked(tmp_path, flags={flag: value}), f"configuration: server.flags.{flag}")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 2)
    assert found.fix


def test_a_file_that_a_flag_names_must_be_there_for_a_local_server(tmp_path: Path) -> None:
    check, flag = "configuration: server.flags.ssl_config_file", {"ssl_config_file": str(tmp_path / "ssl.conf")}
    assert one(checked(tmp_path, "embedded", flags=flag), check).status is FindingStatus.FAILURE
    (tmp_path / "ssl.conf").touch()
    assert is_ok(checked(tmp_path, "embedded", flags=flag))


@pytest.mark.parametrize("flag", ["batching_parameters_file", "enable_batching", "model_config_file"])
def test_a_flag_that_has_a_key_of_its_own_never_reaches_the_server(tmp_path: Path, flag: str) -> None:
    """So there is no batching file without the flag, and no hand-written model configuration with a logging_config."""
    with pytest.raises(ConfigError, match="set by this tool; use the key"):
        checked(tmp_path, flags={flag: "x"})


def test_a_models_logging_config_is_refused_and_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="logging_config"):
        checked(tmp_path, model=MODEL | {"logging_config": {"sampling_config": {"sampling_rate": 0.1}}})


def test_labels_that_a_flag_would_have_refused(tmp_path: Path) -> None:
    flags = {"allow_version_labels_for_unavailable_models": False}
    check = "configuration: server.flags.allow_version_labels_for_unavailable_models"
    labelled = MODEL | {"labels": {"stable": 123}}
    assert one(checked(tmp_path, model=labelled, flags=flags), check).status is FindingStatus.FAILURE
    assert is_ok(checked(tmp_path, flags=flags))


def test_an_object_store_is_no_directory(tmp_path: Path) -> None:
    found = one(checked(tmp_path, model={"source": {"directory": "s3://b/m"}}), "configuration: models.m.source")
    assert found.status is FindingStatus.FAILURE
    assert "2.7" in found.evidence


@pytest.mark.parametrize(("image", "pinned"), [
    ("tensorflow/serving", False), ("tensorflow/serving:latest", False), ("reg:5000/serving", False),
    (OFFICIAL, True), ("reg:5000/serving:1", True), ("a/b@sha256:00", True),
])  # fmt: skip
def test_an_image_without_a_release_moves(tmp_path: Path, image: str, pinned: bool) -> None:
    assert is_ok(checked(tmp_path, image=image)) == pinned


def test_limits_of_a_container_that_is_none(tmp_path: Path) -> None:
    found = [f.check for f in checked(tmp_path, "native", memory="1g", cpus=1.0) if f.status is FindingStatus.WARNING]
    assert found == ["configuration: server.memory", "configuration: server.cpus", "configuration: server.expose"]


def test_every_problem_of_a_broken_yaml_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "tfs.yaml"
    path.write_text(
        "project: p\nserver: {rest_port: eighty, imaeg: x}\nmodels: {m: {source: {bundled: half_plus_two}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    *problems, rest = broken(caught.value)
    assert [f.kind.exit_code for f in problems] == [2, 2]
    assert "rest_port" in problems[0].evidence
    assert "not checked" in rest.evidence


def test_the_embedded_servers_own_flags_are_told_from_tensorflow_servings() -> None:
    assert {flag.name for flag in FLAGS} >= EMBEDDED_FLAGS
    assert not EMBEDDED_FLAGS & set(known_flags("docker", OFFICIAL))
    assert set(known_flags("docker", "own:1")) >= EMBEDDED_FLAGS


@pytest.mark.parametrize(
    ("address", "evidence", "fix"),
    [
        ("file:///srv/models/m", "file:///srv/models/m is an address, not a directory", "directory: /srv/models/m"),
        ("gs://b/m", "gs://b/m is an address, not a directory", "let setup fetch it: store: gs://b/m"),
        ("s3://b/m", "TensorFlow Serving's images have no S3 since 2.7", "let setup fetch it: store: s3://b/m"),
        ("https://h/m.tar", "https://h/m.tar is an address, not a directory", "archive: https://h/m.tar"),
    ],
)
def test_an_address_in_place_of_a_directory(tmp_path: Path, address: str, evidence: str, fix: str) -> None:
    found = one(checked(tmp_path, model={"source": {"directory": address}}), "configuration: models.m.source")
    assert evidence in found.evidence
    assert ("S3" in found.evidence) == address.startswith("s3")
    assert fix in found.fix


@pytest.mark.parametrize("runtime", ["docker", "embedded"])
def test_batching_parameters_of_each_model_are_a_known_flag(tmp_path: Path, runtime: str) -> None:
    assert is_ok(checked(tmp_path, runtime, flags={"enable_per_model_batching_parameters": True}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('server_cert: "/etc/ssl/server.pem"', "server_cert is not PEM text; a path is not read"),
        ("-----BEGIN CERTIFICATE-----", "not an SSLConfig in text form"),
    ],
)
def test_certificates_that_the_server_could_not_use(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "ssl.conf").write_text(text)
    flags = {"ssl_config_file": str(tmp_path / "ssl.conf")}
    found = one(checked(tmp_path, "embedded", flags=flags), "configuration: server.flags.ssl_config_file")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 2)
    assert words in found.evidence
    assert found.fix
