"""Every example of config/examples and the default YAML, served and asked; the same on every runtime."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfs_workflow.config.load import load

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted([ROOT / "config/tfs.yaml", *(ROOT / "config/examples").glob("*.yaml")])
EXPECTED = [2.5, 3.0, 4.5]


class Example:
    """A copy of an example under a project's name of its own, and with other ports where the YAML has fixed ones."""

    def __init__(self, path: Path, directory: Path, overrides: dict[str, str]) -> None:
        # With what lies beside it: an archive, and a base path with two versions.
        self.path = Path(shutil.copytree(path.parent, directory / "config"), path.name)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TFS_")},
            "TFS_PROJECT": f"test-{uuid.uuid4().hex[:10]}",
            "TFS_SERVER__REST_PORT": "auto",
            "TFS_SERVER__GRPC_PORT": "auto",
            **({"TFS_WORKSPACE": str(directory / "workspace")} if path.name == "tfs.yaml" else {}),
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
def served(path: Path, directory: Path, overrides: dict[str, str]) -> Iterator[Example]:
    """The example, prepared and served on the runtime of the overrides."""
    example = Example(path, directory, overrides)
    if path.name == "tfs.yaml":  # its git server is out of reach
        example.environment["TFS_MODELS__HALF_PLUS_TWO__SOURCE__0__GIT"] = "http://127.0.0.1:1/serving.git"
    try:
        example.run("setup")
        example.run("serve")
        yield example
    finally:
        example.run("teardown", "--purge")


def check_answers(example: Example) -> None:
    """Every model, version and label of the YAML answers."""
    for name, model in load(example.path, environ=example.environment).config.models.items():
        assert example.predict("--model", name) == EXPECTED
        for label in model.labels:
            assert example.predict("--model", name, "--label", label) == EXPECTED
        for version in model.versions if isinstance(model.versions, tuple) else ():
            assert example.predict("--model", name, "--version", str(version)) == EXPECTED
