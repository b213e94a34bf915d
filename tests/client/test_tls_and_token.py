"""Every verb and the client, with a server that has TLS and a token (server.tls, server.token_file)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.certificates import self_signed, signed
from tests.support.command import CommandLine
from tests.support.modelserver.running import Running, serving
from tfs_workflow.client.access.credentials import Credentials
from tfs_workflow.client.access.rest_session import rest_session
from tfs_workflow.client.connect import connect
from tfs_workflow.client.interface import RequestRejectedError
from tfs_workflow.errors import ConfigError, ServerNotReadyError

SECRET = "a-token-that-must-not-be-seen-anywhere"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    (tmp_path / "secrets").mkdir()
    self_signed(tmp_path / "secrets")
    token = tmp_path / "secrets" / "token"
    token.write_text(f"{SECRET}\n")
    token.chmod(0o600)
    # Beside the YAML, as the paths are meant.
    line.config["server"] |= {
        "tls": {"certificate": "secrets/certificate.pem", "key": "secrets/key.pem"},
        "token_file": "secrets/token",
    }
    yield line
    line.run("teardown", "--purge")


@pytest.mark.parametrize("fronts", [0, 1])
def test_every_verb_uses_tls_and_the_token_and_shows_it_nowhere(lab: CommandLine, fronts: int) -> None:
    lab.config["server"]["fronts"] = fronts
    served = lab.run("serve")
    assert served.returncode == 0, served.stderr
    seen = [served.stdout, served.stderr]
    assert "AVAILABLE" in served.stdout
    assert "https://127.0.0.1:" in served.stdout
    for words in (("status",), ("describe",), ("logs",), ("predict",), ("predict", "--transport", "grpc"), ("doctor",)):
        done = lab.run(*words)
        assert done.returncode == 0, (words, done.stderr)
        seen += [done.stdout, done.stderr]
    assert json.loads(lab.ok("predict")) == json.loads(lab.ok("predict", "--transport", "grpc")) == [2.5, 3.0, 4.5]
    rows = lab.ok("predict", "--input", "-", stdin="1.0\n2.0\n5.0\n")
    assert [json.loads(row) for row in rows.split()] == [2.5, 3.0, 4.5]
    curl = next(line for line in served.stdout.splitlines() if line.startswith("curl "))
    assert json.loads(subprocess.check_output(curl, shell=True, text=True)) == {"predictions": [2.5, 3.0, 4.5]}
    described = next(line.strip() for line in lab.ok("describe").splitlines() if line.strip().startswith("curl "))
    assert "results" in json.loads(subprocess.check_output(described, shell=True, text=True))
    assert lab.ok_json("serve")["unchanged"] is True
    server = psutil.Process(int(lab.ok_json("status")["id"]))
    family = [server, *server.children()]
    assert len(family) == (3 if fronts else 1)
    seen += [word for one in family for word in (*one.cmdline(), *one.environ().values())]
    state = [path.read_bytes() for path in lab.workspace.rglob("*") if path.is_file()]
    assert SECRET not in "".join(seen)
    assert not any(SECRET.encode() in content for content in state)


def test_a_reload_goes_over_tls_with_the_token_and_a_long_one_too(lab: CommandLine) -> None:
    (lab.directory / "secrets/token").write_text("x" * 500)
    lab.ok("serve")
    lab.config["models"]["half_plus_two"]["labels"] = {"stable": 123}
    assert lab.ok_json("serve")["reloaded"]
    assert json.loads(lab.ok("predict", "--label", "stable")) == [2.5, 3.0, 4.5]


def test_a_token_that_is_changed_counts_without_a_restart(lab: CommandLine) -> None:
    lab.ok("serve")
    (lab.directory / "secrets/token").write_text("another-token-than-before")
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
    assert lab.ok_json("serve")["unchanged"] is True


def test_a_verb_trusts_no_other_certificate(lab: CommandLine) -> None:
    lab.ok("serve")
    (lab.directory / "other").mkdir()
    certificate = lab.directory / "secrets/certificate.pem"
    before = certificate.read_bytes()
    # For the same name; the server keeps the one before, since this one does not fit its key.
    certificate.write_bytes(self_signed(lab.directory / "other").certificate.read_bytes())
    assert "the server's certificate is not the expected one" in lab.fails(5, "status")
    assert "the server's certificate is not the expected one" in lab.fails(5, "predict")
    lab.fails(5, "predict", "--transport", "grpc")
    certificate.write_bytes(before)
    lab.ok("status")


def test_a_server_is_replaced_where_tls_and_token_come_or_go(lab: CommandLine) -> None:
    lab.ok("serve")
    (lab.directory / "secrets/token").unlink()
    lab.config["server"].pop("token_file")
    lab.config["server"].pop("tls")
    assert lab.ok_json("serve")["rest_url"].startswith("http://")
    assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]


def test_a_mistake_is_one_message_and_leaves_the_server_alone(lab: CommandLine) -> None:
    lab.ok("serve")
    before = lab.ok_json("status")["id"]
    secrets = lab.directory / "secrets"
    (secrets / "key.pem").chmod(0o644)
    message = lab.fails(2, "serve")
    assert f"server.tls.key: {secrets}/key.pem has mode 0644: other users can read or change it" in message
    assert f"next step: chmod 600 {secrets}/key.pem" in message
    assert "has mode 0644" in lab.run("doctor").stdout
    (secrets / "key.pem").chmod(0o600)
    (secrets / "other").mkdir()
    lab.config["server"]["tls"]["key"] = str(self_signed(secrets / "other").key)
    assert "cannot be used with" in lab.fails(2, "serve")
    lab.config["server"]["tls"]["key"] = "secrets/none.pem"
    assert "server.tls: " in lab.fails(2, "serve")
    lab.config["server"]["tls"]["key"] = "secrets/key.pem"
    (secrets / "token").write_text("two words\n")
    assert "is no token file" in lab.fails(2, "serve")
    assert "is no token file" in lab.fails(2, "status")
    (secrets / "token").write_text(SECRET)
    assert lab.ok_json("status")["id"] == before


@pytest.mark.parametrize("key", ["tls", "token_file", "fronts"])
def test_where_tensorflow_serving_runs_the_key_is_refused(lab: CommandLine, key: str) -> None:
    values = {"tls": {"certificate": "c", "key": "k"}, "token_file": "t", "fronts": 1}
    lab.config["server"] = {"rest_port": "auto", "grpc_port": "auto", "native_binary": "/bin/true", key: values[key]}
    lab.config["runtime"] = "native"
    message = lab.fails(2, "setup")
    assert f"server.{key}: not with runtime: native, TensorFlow Serving" in message
    assert "runtime: embedded" in message


def test_two_certificates_for_grpc_are_refused_at_the_key(lab: CommandLine) -> None:
    lab.config["server"]["flags"] = {"ssl_config_file": "/etc/ssl.conf"}
    assert "tfs.yaml:" in (message := lab.fails(2, "serve"))
    assert "server.tls: has a certificate for gRPC, too" in message


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server whose certificate an authority signed, for localhost, and that authority's certificate."""
    directory = tmp_path_factory.mktemp("secrets")
    pair, authority = signed(directory, "localhost")
    (directory / "token").write_text(SECRET)
    flags = (f"--tls_certificate_file={pair.certificate}", f"--tls_key_file={pair.key}")
    with serving(*flags, f"--token_file={directory}/token") as running:
        yield running, authority


def addresses(running: Running) -> list[str]:
    return [f"https://localhost:{running.rest_port}", f"grpcs://localhost:{running.grpc_port}"]


@pytest.mark.parametrize("number", [0, 1], ids=["rest", "grpc"])
def test_the_client_trusts_an_authority_and_shows_a_token(server: tuple[Running, Path], number: int) -> None:
    running, authority = server
    url = addresses(running)[number]
    with connect(url, token=SECRET, ca=authority) as client:
        assert client.predict("half_plus_two", [1.0])["y"].tolist() == [2.5]
        assert client.status("half_plus_two")[0].version == 123
    with connect(url, token="wrong", ca=authority) as client, pytest.raises(RequestRejectedError) as refused:
        client.predict("half_plus_two", [1.0])
    assert refused.value.status == 401
    assert "token" in refused.value.fix
    with connect(url, token=SECRET) as client, pytest.raises(ServerNotReadyError) as distrusted:
        client.predict("half_plus_two", [1.0])
    assert SECRET not in str(distrusted.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        connect(url, ca="/nowhere.pem")


def test_a_status_without_the_token_says_so(server: tuple[Running, Path]) -> None:
    running, authority = server
    with connect(addresses(running)[0], ca=authority) as client, pytest.raises(ServerNotReadyError, match="token"):
        client.status("half_plus_two")


def test_an_entry_in_netrc_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine models.example.com login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session = rest_session("https://models.example.com", Credentials(SECRET))
    prepared = session.prepare_request(requests.Request("GET", "https://models.example.com/"))
    assert prepared.headers["authorization"] == f"Bearer {SECRET}"
