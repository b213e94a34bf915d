"""An engine is started before the verb is imported, where the words make an embedded server likely."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tfs_workflow.cli import ahead


@pytest.mark.parametrize(
    ("words", "has_engine", "is_likely"),
    [
        ("serve model", True, True),
        ("serve --path model", True, True),
        ("setup serve", False, True),
        ("demo", False, True),
        ("serve", True, False),
        ("serve predict", True, False),
        ("--config model serve", True, False),
        ("serve model --dry-run", False, False),
        ("serve --help", False, False),
        ("predict", False, False),
    ],
)
def test_the_words_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, has_engine: bool, is_likely: bool
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(f"{tmp_path}/engine.sock")  # where nobody listens, no engine answers
        if has_engine:
            engine.listen()
        assert ahead.is_likely(words.split()) is is_likely


def test_an_engine_elsewhere_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    assert not ahead.is_likely(["serve"])
