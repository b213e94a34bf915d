"""Every example of config/examples and the default YAML, served and asked; the same on every runtime."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.archive_server import ArchiveServer
from tfs_workflow.config.load import load

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "tfs_workflow/bundled/half_plus_two"
EXAMPLES = sorted([ROOT / "config/tfs.yaml", *(ROOT / "config/examples").glob("*.yaml")])
EXPECTED = [2.5, 3.0, 4.5]


class Example:
    """A copy of an example under a name of its own, with the overrides that a machine without a network needs."""

    def __init__(self, path: Path, directory: Path, overrides: dict[str, str]) -> None:
        self.path = Path(shutil.copy(path, directory))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TFS_")},
            "TFS_PROJECT": f"test-{uuid.uuid4().hex[:10]}",
            "TFS_WORKSPACE": str(directory / "workspace"),
            "TFS_SERVER__REST_PORT": "auto",
            "TFS_SERVER__GRPC_PORT": "auto",
            **overrides,
        }

    def run(self, *words: str) -> str:
        argv = [sys.executable, "-m", "tfs_workflow.cli.program", *words, "--config", str(self.path)]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{words} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def predict(self, *options: str) -> Any:
        return json.loads(self.run("predict", *options))


@contextmanager
def served(path: Path, directory: Path, archives: ArchiveServer, overrides: dict[str, str]) -> Iterator[Example]:
    """The example, prepared and served on the runtime of the overrides."""
    example = Example(path, directory, overrides)
    _bring_sources(example, directory, archives)
    try:
        example.run("setup")
        example.run("serve")
        yield example
    finally:
        example.run("teardown", "--purge")


def _bring_sources(example: Example, directory: Path, archives: ArchiveServer) -> None:
    """What the examples take from elsewhere: a directory of the user's, an archive, a git server out of reach."""
    for version in ("1", "2"):
        shutil.copytree(BUNDLED / "00000123", directory / "models/half_plus_two" / version)
    source = "TFS_MODELS__HALF_PLUS_TWO__SOURCE"
    if example.path.name == "archive.yaml":
        archive, digest = archives.put("half_plus_two.tar.gz", _archive())
        example.environment |= {f"{source}__ARCHIVE": archive, f"{source}__SHA256": digest}
    if example.path.name == "tfs.yaml":
        example.environment[f"{source}__0__GIT"] = "http://127.0.0.1:1/serving.git"


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(BUNDLED, "half_plus_two")
    return buffer.getvalue()


def check_answers(example: Example) -> None:
    """Every model, version and label of the YAML answers."""
    for name, model in load(example.path, environ=example.environment).config.models.items():
        assert example.predict("--model", name) == EXPECTED
        for label in model.labels:
            assert example.predict("--model", name, "--label", label) == EXPECTED
        for version in model.versions if isinstance(model.versions, tuple) else ():
            assert example.predict("--model", name, "--version", str(version)) == EXPECTED
