"""SELinux's answers are injected, since the machines of the tests have none."""

from __future__ import annotations

from pathlib import Path

from tests.checks.findings import is_ok
from tfs_workflow.checks import selinux
from tfs_workflow.checks.finding import FindingStatus

BASE_PATH = Path("/home/me/model")


def test_an_injected_label_that_no_container_may_read() -> None:
    (found,) = selinux.container_access("m", BASE_PATH, enforcing=True, label="user_home_t")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 4)
    assert found.fix == "chcon -Rt container_file_t /home/me/model"


def test_an_injected_label_that_containers_may_read() -> None:
    assert is_ok(selinux.container_access("m", BASE_PATH, enforcing=True, label="container_file_t"))


def test_without_selinux_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert selinux.label_of(tmp_path / "nowhere") == ""
    assert not selinux.is_enforcing(tmp_path / "enforce")
    assert list(selinux.container_access("m", BASE_PATH, enforcing=False, label="user_home_t")) == []
    (tmp_path / "enforce").write_text("1")
    assert selinux.is_enforcing(tmp_path / "enforce")
