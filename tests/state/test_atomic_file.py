"""Files that appear whole or not at all, on file systems that have files without a name and on others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfs_workflow.state import atomic_file


@pytest.fixture(params=[True, False], ids=["O_TMPFILE", "none"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to write, in a directory of its own."""
    if not request.param:
        monkeypatch.delattr(os, "O_TMPFILE")
    directory = tmp_path / "directory"
    directory.mkdir()
    return directory / "out.jsonl"


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_the_file_appears_when_the_block_ends(target: Path) -> None:
    with atomic_file.writing_whole(target) as file:
        file.write(b"new")
        assert target.name not in names(target)
    assert target.read_bytes() == b"new"
    assert names(target) == [target.name]
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_was_there_stays_when_the_block_raises(target: Path) -> None:
    def write_half() -> None:
        with atomic_file.writing_whole(target) as file:
            file.write(b"new")
            raise ValueError("cut short")

    target.write_bytes(b"old")
    with pytest.raises(ValueError, match="cut short"):
        write_half()
    assert target.read_bytes() == b"old"
    assert names(target) == [target.name]


def test_a_link_keeps_pointing_to_the_file_that_it_names(target: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    target.write_bytes(b"old")
    with atomic_file.writing_whole(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_directory_that_is_not_there_is_said_by_the_system(target: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file.writing_whole(target.parent / "nowhere" / "out.jsonl"):
        pass


def test_without_a_name_nothing_can_be_left(tmp_path: Path) -> None:
    with atomic_file.writing_whole(tmp_path / "out.jsonl") as file:
        file.write(b"half")
        assert names(tmp_path / "out.jsonl") == []
