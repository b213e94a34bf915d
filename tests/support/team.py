"""A team's directory with tests of its model, and runs of pytest in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

# Writes down what runs, and then ends as no `finally` survives it.
CRASH = """\
import os, pathlib, psutil, signal
def test_it(tfs_server):
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    pathlib.Path("seen").write_text("".join(line for line in lines if os.getcwd() in line))
"""


class Team:
    """A directory with tests of a model, and runs of pytest in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.write("pytest.ini", "[pytest]\ntfs_model = model\nfilterwarnings = error\n")

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        # Of the run that this test is in, nothing is to be inherited.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TFS_"))}
        # Where the server's files are, by which it is found below.
        (self.directory / "tmp").mkdir(exist_ok=True)
        kept["TMPDIR"] = str(self.directory / "tmp")
        return subprocess.run(
            argv, cwd=self.directory, env=kept, capture_output=True, text=True, timeout=120, check=False
        )


def serving(directory: Path) -> list[str]:
    """The command lines that name a directory: of servers with files in it, and of their guards."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(directory) in line]
