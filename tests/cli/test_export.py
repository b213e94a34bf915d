"""`tfs export`: a file for Compose or systemd, on stdout or where it is wanted, and never over another one."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.cli.test_serve_path import User
from tests.support.waiting import until
from tfs_workflow.client.interface import ModelRef, ServerUnreachableError, State
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.runtimes.ports import free_port

DOCUMENT = {
    "server": {"rest_port": 18501, "grpc_port": 18500},
    "models": {"m": {"source": {"bundled": "half_plus_two"}}},
}


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    somebody = User(tmp_path)
    (somebody.directory / "tfs.yaml").write_text(yaml.safe_dump(DOCUMENT))
    yield somebody
    somebody.ok("teardown", "--purge")


def test_compose_and_systemd_are_printed_and_written(user: User) -> None:
    user.ok("setup")
    service = yaml.safe_load(user.ok("export", "compose"))["services"]["model-server"]
    assert service["ports"] == ["127.0.0.1:18501:8501", "127.0.0.1:18500:8500"]
    assert Path(service["volumes"][0]["source"]).is_dir()
    assert user.ok("export", "systemd", "--output", "lab.service") == "lab.service\n"
    unit = (user.directory / "lab.service").read_text()
    assert "--rest_api_port=18501" in unit
    assert unit == json.loads(user.ok("export", "--kind", "systemd", "--json"))["text"]


def test_a_file_is_replaced_only_by_force(user: User) -> None:
    user.ok("setup")
    target = user.directory / "compose.yaml"
    target.write_text("mine")
    refused = user.run("export", "compose", "--output", "compose.yaml")
    assert refused.returncode == 2
    assert "add --force" in refused.stderr
    assert target.read_text() == "mine"
    user.ok("export", "compose", "--output", "compose.yaml", "--force", "--dry-run")
    assert target.read_text() == "mine"
    user.ok("export", "compose", "--output", "compose.yaml", "--force")
    assert "services" in yaml.safe_load(target.read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [(["export"], "expected compose or systemd"), (["export", "helm"], "got 'helm'"), (["export", "compose"], "setup")],
)
def test_what_cannot_be_exported_ends_in_one_message(user: User, words: list[str], message: str) -> None:
    done = user.run(*words, "--json")
    assert done.returncode == 2
    assert message in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == 2


def test_the_server_of_a_unit_answers(user: User, tmp_path: Path) -> None:
    """Its command runs as systemd would run it: the credentials as files, in a directory that a variable names."""
    rest_port, grpc_port = free_port(), free_port()
    user.environment |= {"TFS_SERVER__REST_PORT": str(rest_port), "TFS_SERVER__GRPC_PORT": str(grpc_port)}
    user.ok("setup")
    unit = dict(line.split("=", 1) for line in user.ok("export", "systemd").splitlines() if "=" in line)
    name, _, text = unit["SetCredential"].partition(":")
    (tmp_path / name).write_text(text.encode().decode("unicode_escape"))
    argv = shlex.split(unit["ExecStart"].replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)))
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with RestJsonClient(f"http://127.0.0.1:{rest_port}") as client:
                until(lambda: available(client))
                assert client.send(ModelRef("m"), "predict", {"instances": [1.0]}) == {"predictions": [2.5]}
        finally:
            server.terminate()


def available(client: RestJsonClient) -> bool:
    with suppress(ServerUnreachableError):
        return any(version.state is State.AVAILABLE for version in client.status("m"))
    return False


def test_a_unit_needs_fixed_ports(user: User) -> None:
    user.environment["TFS_SERVER__REST_PORT"] = "auto"
    user.ok("setup")
    done = user.run("export", "systemd")
    assert done.returncode == 2
    assert "server.rest_port: a unit needs a fixed port" in done.stderr
