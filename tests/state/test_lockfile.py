"""The lock file: stable text, every difference named, nothing unusable believed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tfs_workflow.errors import ConfigError
from tfs_workflow.state import lockfile
from tfs_workflow.state.lockfile import Lock, LockedModel, differences

FULL = Lock(
    image="tensorflow/serving:2.20.0",
    image_digest="sha256:00",
    models={
        "b": LockedModel(source="bundled half_plus_two"),
        "a": LockedModel(source="git x", commit="c1", files={"2/x": "22", "1/x": "11"}),
    },
)


def test_it_lies_beside_the_yaml() -> None:
    assert lockfile.lock_path(Path("config/tfs.yaml")) == Path("config/tfs.lock")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    lockfile.write(tmp_path / "tfs.lock", FULL)
    assert lockfile.read(tmp_path / "tfs.lock") == FULL


def test_the_text_is_sorted_and_one_fact_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tfs.lock"
    lockfile.write(path, FULL)
    text = path.read_text()
    assert text.index('"a"') < text.index('"b"')
    assert text.index('"1/x"') < text.index('"2/x"')
    assert '\n        "1/x": "11",\n' in text
    assert text.endswith("}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_same_lock_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "tfs.lock"
    lockfile.write(path, FULL)
    before = path.stat()
    lockfile.write(path, FULL.model_copy(update={"models": dict(reversed(FULL.models.items()))}))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [p.name for p in tmp_path.iterdir()] == ["tfs.lock"]


def test_no_file_is_no_lock(tmp_path: Path) -> None:
    assert lockfile.read(tmp_path / "tfs.lock") is None


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (b'{"format": 2}', "format"),
        (b'{"image": 1}', "image"),
        (b'{"modles": {}}', "modles"),
        (b'{"models": {"a": {}}}', "models.a.source"),
        (b'{"models": {"a": {"source": "x", "files": {"1": 1}}}}', "models.a.files.1"),
    ],
)
def test_a_malformed_file_is_an_error_that_names_the_place(tmp_path: Path, text: bytes, evidence: str) -> None:
    path = tmp_path / "tfs.lock"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match="malformed") as failure:
        lockfile.read(path)
    assert evidence in failure.value.evidence
    assert failure.value.where == str(path)


def test_a_directory_is_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        lockfile.read(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        lockfile.write(tmp_path, FULL)


def test_equal_locks_do_not_differ() -> None:
    assert differences(FULL, FULL.model_copy(deep=True)) == []


def test_every_difference_is_one_line() -> None:
    found = Lock(
        image="tensorflow/serving:2.19.0",
        models={
            "a": LockedModel(source="git y", commit="c2", files={"1/x": "12", "3/x": "33"}),
            "c": LockedModel(source="z"),
        },
    )
    assert differences(FULL, found) == [
        "image: locked tensorflow/serving:2.20.0, found tensorflow/serving:2.19.0",
        "image digest: locked sha256:00, found none",
        "a: source: locked git x, found git y",
        "a: commit: locked c1, found c2",
        "a: 1/x: sha256 locked 11…, found 12…",
        "a: 2/x: locked, but missing",
        "a: 3/x: found, but not locked",
        "b: locked, but not in the YAML",
        "c: in the YAML, but not locked",
    ]
