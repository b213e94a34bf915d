"""`predict --transport grpc` with a server that has a certificate (ssl_config_file)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format

from tests.support.certificates import self_signed, signed
from tests.support.command import CommandLine
from tfs_workflow.protos.model_server_config_pb2 import SSLConfig


def of_its_own(directory: Path) -> SSLConfig:
    pair = self_signed(directory)
    return SSLConfig(server_key=pair.key.read_text(), server_cert=pair.certificate.read_text())


def of_an_authority(directory: Path) -> SSLConfig:
    pair, authority = signed(directory)
    key, certificate = pair.key.read_text(), pair.certificate.read_text()
    return SSLConfig(server_key=key, server_cert=certificate, custom_ca=authority.read_text())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    line.config["server"]["flags"] = {"ssl_config_file": str(tmp_path / "ssl.conf")}
    yield line
    line.run("teardown", "--purge")


@pytest.mark.parametrize("made", [of_its_own, of_an_authority])
def test_predict_trusts_the_certificate_of_the_yaml(lab: CommandLine, made: Callable[[Path], SSLConfig]) -> None:
    (lab.directory / "ssl.conf").write_text(text_format.MessageToString(made(lab.directory)))
    lab.ok("serve")
    assert json.loads(lab.ok("predict", "--transport", "grpc")) == [2.5, 3.0, 4.5]
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]


def test_a_server_that_wants_the_clients_certificate(lab: CommandLine) -> None:
    config = of_its_own(lab.directory)
    config.client_verify, config.custom_ca = True, config.server_cert
    (lab.directory / "ssl.conf").write_text(text_format.MessageToString(config))
    lab.ok("serve")
    message = lab.fails(2, "predict", "--transport", "grpc")
    assert "the server wants a certificate of the client" in message
    assert "use --transport rest" in message
    (lab.directory / "ssl.conf").unlink()
    assert "ssl.conf: cannot be read" in lab.fails(2, "predict", "--transport", "grpc")
