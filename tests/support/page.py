"""A page of docs/: its files and commands, and a directory in which they run with `tfs` of this environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def page_files(page: str) -> dict[str, str]:
    """Content by name of each code block below a comment that names a file."""
    return dict(re.findall(r"<!-- (\S+\.\w+) -->\n```\w*\n(.*?)```", page, re.DOTALL))


def page_steps(page: str) -> list[tuple[str, str]]:
    """Each command of the console blocks with the output that the page shows."""
    sessions = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return [step for session in sessions for step in re.findall(r"^\$ (.+)\n((?:[^$\n].*\n)*)", session, re.MULTILINE)]


class PageDirectory:
    """A directory with a page's files, on the embedded runtime and free ports."""

    def __init__(self, directory: Path, files: dict[str, str]) -> None:
        self.directory = directory
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(content)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TFS_")} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TFS_PROJECT": f"page-{os.getpid()}-{directory.name}",
            "TFS_WORKSPACE": str(directory / "workspace"),
            "XDG_CACHE_HOME": str(directory / "cache"),
            "TFS_RUNTIME": "embedded",
            "TFS_SERVER__REST_PORT": "auto",
            "TFS_SERVER__GRPC_PORT": "auto",
        }

    def run(self, command: str) -> str:
        """What a command prints, on both streams; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command} exited {done.returncode}\n{done.stdout}"
        return done.stdout
