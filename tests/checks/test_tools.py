"""git, credentials, clock and proxies of a machine in order, and of one that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.checks.findings import is_ok
from tfs_workflow.checks import tools
from tfs_workflow.checks.finding import FindingStatus


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_git_is_there_and_new_enough() -> None:
    assert is_ok(tools.git(needed=True))


def test_git_that_is_missing_old_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (missing,) = tools.git(needed=True)
    assert (missing.status, missing.kind.exit_code) == (FindingStatus.FAILURE, 3)
    assert is_ok(tools.git(needed=False))
    program(tmp_path, "git", "echo git version 2.7.4")
    (old,) = tools.git(needed=True)
    assert old.status is FindingStatus.WARNING
    assert "2.7.4" in old.evidence
    program(tmp_path, "git", "echo xcrun: error: invalid active developer path >&2")
    (broken,) = tools.git(needed=True)
    assert broken.status is FindingStatus.FAILURE
    assert "xcrun" in broken.evidence


def test_a_credential_helper_that_is_named_and_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "desktop", "credHelpers": {"gcr.io": "gcloud"}}))
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    (found,) = tools.credentials(environ)
    assert found.status is FindingStatus.WARNING
    assert "docker-credential-desktop" in found.evidence
    for name in ("desktop", "gcloud"):
        program(tmp_path, f"docker-credential-{name}", "true")
    assert is_ok(tools.credentials(environ))


def test_a_docker_configuration_that_is_broken_or_not_there(tmp_path: Path) -> None:
    assert list(tools.credentials({"DOCKER_CONFIG": str(tmp_path)})) == []
    (tmp_path / "config.json").write_text("{")
    assert [f.status for f in tools.credentials({"DOCKER_CONFIG": str(tmp_path)})] == [FindingStatus.WARNING]


@pytest.mark.parametrize(
    ("environ", "good"),
    [
        ({}, True),
        ({"http_proxy": "http://proxy:3128"}, False),
        ({"ALL_PROXY": "socks5://proxy", "no_proxy": "example.org"}, False),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "localhost, 127.0.0.1"}, True),
        ({"HTTPS_PROXY": "http://proxy:3128"}, True),
    ],
)
def test_a_proxy_must_leave_loopback_alone(environ: dict[str, str], good: bool) -> None:
    assert is_ok(tools.proxies(environ)) == good


def test_the_clocks_of_this_machine_agree(tmp_path: Path) -> None:
    assert is_ok(tools.clock({"file system": tools.file_system_ahead_s(tmp_path)}))
    assert list(tmp_path.iterdir()) == []
    assert tools.file_system_ahead_s(tmp_path / "nowhere") == 0.0


def test_injected_clocks_that_differ_are_named() -> None:
    (found,) = tools.clock({"engine": -120.0, "file system": 0.1})
    assert found.status is FindingStatus.WARNING
    assert found.evidence == "the engine is 120 s behind"
