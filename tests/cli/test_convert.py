"""`tfs convert`: a Keras file becomes a SavedModel that a server answers from."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import CommandLine

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> CommandLine:
    return CommandLine.in_directory(tmp_path, runtime="embedded")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_converted_model_is_served_and_answers(lab: CommandLine, keras_models: Path, name: str) -> None:
    shutil.copy(keras_models / name, lab.directory)
    assert lab.ok("convert", name).splitlines() == ["model/1; next: tfs serve model"]
    assert sorted(path.name for path in lab.directory.iterdir()) == ["model", name, "tfs.yaml"]
    lab.config["models"] = {"m": {"source": [{"directory": "model"}]}}
    try:
        lab.ok("setup", "serve")
        (row,) = json.loads(lab.ok("predict", "--instances", "[[1.0, 2.0, 3.0]]"))
    finally:
        lab.ok("teardown", "--purge")
    assert len(row) == 2


def test_nothing_is_overwritten_or_left_behind(lab: CommandLine, keras_models: Path) -> None:
    (lab.directory / "there" / "1").mkdir(parents=True)
    assert "exists already" in lab.fails(2, "convert", str(keras_models / "model.keras"), "--output", "there")
    assert list((lab.directory / "there" / "1").iterdir()) == []
    (lab.directory / "cut.keras").write_bytes((keras_models / "model.keras").read_bytes()[:2000])
    message = lab.fails(4, "convert", "cut.keras")
    assert "Keras cannot load or export it" in message
    assert 'model.export("DIR")' in message
    lab.ok("convert", "--file", "cut.keras", "--output", "unmade", "--dry-run")
    assert sorted(path.name for path in lab.directory.iterdir()) == ["cut.keras", "tfs.yaml", "there"]


def test_what_is_no_keras_file_is_named(lab: CommandLine, keras_models: Path) -> None:
    assert "a TensorFlow Lite model" in lab.fails(4, "convert", str(keras_models / "model.tflite"))
    assert "no such file" in lab.fails(2, "convert", "nowhere.keras")
    assert "needs a file" in lab.fails(2, "convert")


def test_without_keras_the_package_to_install_is_named(tmp_path: Path, keras_models: Path) -> None:
    hidden = "import sys; sys.modules['keras'] = None; from tfs_workflow.cli.program import program; "
    code = hidden + f"program.run(['tfs', 'convert', {str(keras_models / 'model.keras')!r}, '--output', 'out'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "convert needs keras, not installed here" in done.stderr
    assert "pip install tensorflow" in done.stderr
    assert list(tmp_path.iterdir()) == []
