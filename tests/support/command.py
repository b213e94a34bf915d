"""The command line as users call it, in a directory with a YAML of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TIMEOUT_S = 120
BUNDLED = {"bundled": "half_plus_two"}


@dataclass
class CommandLine:
    """Runs `tfs` on one YAML; `config` is its content and may be changed before a call."""

    directory: Path
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def in_directory(cls, directory: Path, runtime: str, image: str = "") -> CommandLine:
        """A project of its own name on free ports that serves the bundled model."""
        server: dict[str, Any] = {"rest_port": "auto", "grpc_port": "auto"}
        if image:
            server["image"] = image
        model = {"source": [BUNDLED], "example": {"instances": [1.0, 2.0, 5.0]}}
        config = {
            "project": f"test-{uuid.uuid4().hex[:10]}",
            "workspace": str(directory / "workspace"),
            "runtime": runtime,
            "server": server,
            "models": {"half_plus_two": model},
        }
        return cls(directory, config)

    @property
    def project(self) -> str:
        """The project's name."""
        return str(self.config["project"])

    @property
    def workspace(self) -> Path:
        """The project's workspace."""
        return Path(self.config["workspace"])

    def argv(self, *words: str) -> list[str]:
        """The command for these words; the YAML is written again for each."""
        path = self.directory / "tfs.yaml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        return [sys.executable, "-m", "tfs_workflow.cli.program", *words, "--config", str(path)]

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the words to their end."""
        return subprocess.run(
            self.argv(*words),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=self._environment(),
            cwd=self.directory,
            check=False,
        )

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """Run the words, which must succeed; what they print on stdout."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ok_json(self, *words: str) -> Any:
        """Run the words with --json, which must succeed; the document they print."""
        return json.loads(self.ok(*words, "--json"))

    def fails(self, exit_code: int, *words: str, stdin: str | None = None) -> str:
        """Run the words, which must end with this exit code, a message and no traceback; the message."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == exit_code, f"{words} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        assert "error: " in done.stderr
        return done.stderr

    def start(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start the words in a process group of their own, to be interrupted or killed."""
        return self.launch(self.argv(*words), stdin)

    def launch(self, argv: list[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """The same for a command line that was made before."""
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
            cwd=self.directory,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TFS_")}
        return kept | self.environment
