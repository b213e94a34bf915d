"""`predict --transport grpc` with a server that has a certificate (ssl_config_file)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format

from tests.support.command import CommandLine
from tests.support.needs import missing
from tfs_workflow.protos.model_server_config_pb2 import SSLConfig


def openssl(*words: str) -> None:
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def self_signed(directory: Path) -> SSLConfig:
    """A certificate of its own authority, as the guides make it."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subject = ("-subj", "/CN=models.example.com", "-addext", "subjectAltName=DNS:models.example.com")
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject)
    openssl(*request, "-keyout", str(key), "-out", str(certificate))
    return SSLConfig(server_key=key.read_text(), server_cert=certificate.read_text())


def signed(directory: Path) -> SSLConfig:
    """A certificate that an authority signed, for its common name alone."""
    authority = self_signed(directory)
    key, request, certificate = (str(directory / name) for name in ("own.key", "own.csr", "own.pem"))
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=own.example.com", "-keyout", key, "-out", request)
    ca = ("-CA", str(directory / "certificate.pem"), "-CAkey", str(directory / "key.pem"), "-CAcreateserial")
    openssl("x509", "-req", "-in", request, *ca, "-days", "1", "-out", certificate)
    return SSLConfig(
        server_key=Path(key).read_text(), server_cert=Path(certificate).read_text(), custom_ca=authority.server_cert
    )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    line.config["server"]["flags"] = {"ssl_config_file": str(tmp_path / "ssl.conf")}
    yield line
    line.run("teardown", "--purge")


@pytest.mark.parametrize("made", [self_signed, signed])
def test_predict_trusts_the_certificate_of_the_yaml(lab: CommandLine, made: Callable[[Path], SSLConfig]) -> None:
    (lab.directory / "ssl.conf").write_text(text_format.MessageToString(made(lab.directory)))
    lab.ok("serve")
    assert json.loads(lab.ok("predict", "--transport", "grpc")) == [2.5, 3.0, 4.5]
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]


def test_a_server_that_wants_the_clients_certificate(lab: CommandLine) -> None:
    config = self_signed(lab.directory)
    config.client_verify, config.custom_ca = True, config.server_cert
    (lab.directory / "ssl.conf").write_text(text_format.MessageToString(config))
    lab.ok("serve")
    message = lab.fails(2, "predict", "--transport", "grpc")
    assert "the server wants a certificate of the client" in message
    assert "use --transport rest" in message
    (lab.directory / "ssl.conf").unlink()
    assert "ssl.conf: cannot be read" in lab.fails(2, "predict", "--transport", "grpc")
