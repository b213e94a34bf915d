"""invoke convert: export a Keras model file as a SavedModel."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, reported_errors, show
from tfs_workflow.errors import ConfigError, InvalidModelError, ToolMissingError
from tfs_workflow.formats.model_kinds import HDF5, KERAS, kind_of

_SCRIPT = Path(__file__).with_name("keras_export.py")
_LONGEST_EVIDENCE = 600


def convert(options: CommandOptions, *, file: str, output: str) -> None:
    """Export the model as version 1 below the output, which is by default the file's name without its suffix."""
    with reported_errors(options):
        if not file:
            raise ConfigError("needs a file", where="convert", fix="tfs convert model.keras")
        source, directory = Path(file), Path(output or Path(file).with_suffix(""))
        version = directory / "1"
        _check(source, version)
        if options.dry_run:
            console.note(f"would write {version}")
            return
        _require_keras()
        _export(source, version)
        document = {"base_path": str(directory), "version": 1}
        show(options, document, [f"{version}; next: tfs serve {shlex.quote(str(directory))}"])


def _check(source: Path, version: Path) -> None:
    if not source.is_file():
        raise ConfigError("there is no such file", where=str(source))
    kind = kind_of(source)
    if kind not in (KERAS, HDF5):
        what, fix = (kind.name, kind.fix_for(source)) if kind else ("a file of another kind", "")
        raise InvalidModelError(f"not a Keras model file but {what}", where=str(source), fix=fix)
    if version.exists():
        raise ConfigError("exists already, and is not overwritten", where=str(version), fix="give another --output")


def _require_keras() -> None:
    missing = [name for name in ("keras", "tensorflow") if find_spec(name) is None]
    if missing:
        fix = "pip install tensorflow, which brings Keras, beside tfs-workflow"
        raise ToolMissingError(f"convert needs {' and '.join(missing)}, not installed here", where="convert", fix=fix)


def _export(source: Path, version: Path) -> None:
    """Export beside the target, and rename once the export is whole."""
    base_path = version.parent
    new = not base_path.exists()
    try:
        base_path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base_path, prefix=".convert-") as staging:
            exported = Path(staging, "exported")
            _run_keras(source, exported)
            exported.rename(version)
    except OSError as error:
        evidence = f"{error.strerror}: {error.filename}"
        raise ConfigError("cannot be written", where=str(version), evidence=evidence) from error
    finally:
        if new and not version.exists():
            with suppress(OSError):  # it was never created
                base_path.rmdir()


def _run_keras(source: Path, exported: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    argv = [sys.executable, str(_SCRIPT), str(source), str(exported)]
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    for line in done.stderr.splitlines():
        console.detail(line)
    if done.returncode or not exported.is_dir():
        raise InvalidModelError(
            "Keras cannot load or export it",
            where=str(source),
            evidence=_last_message(done.stderr) or f"it exited {done.returncode}",
            fix='load it in Python, where its own layers and functions are defined, then model.export("DIR")',
        )


def _last_message(stderr: str) -> str:
    """The script's error message, without TensorFlow's log lines before it."""
    lines = [line for line in stderr.strip().splitlines() if not line.startswith(("I0", "W0", "E0", "WARNING"))]
    return " ".join(" ".join(lines).split())[-_LONGEST_EVIDENCE:]
