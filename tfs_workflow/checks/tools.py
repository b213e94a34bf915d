"""Tools and surroundings: git, the registry's credentials, the clock, proxies.

These belong to the machine and not to the project, but failures of setup come from them again and again: a git that is
too old, a credential helper that was uninstalled, a clock that is off, a proxy that takes requests for 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tfs_workflow.checks.finding import Finding, failure, ok, warning
from tfs_workflow.errors import ToolMissingError

# The first with partial clones that fetch nothing later by themselves (fetch --filter).
OLDEST_GIT = (2, 20)
# Signatures of certificates and tokens forgive less than this.
TOLERATED_S = 5.0
_ANSWER_TIMEOUT_S = 5


def git(needed: bool) -> Iterator[Finding]:
    """Whether git is there, and new enough to fetch a part of a repository."""
    check, command = "tools: git", shutil.which("git")
    if command is None and needed:
        yield failure(check, "not installed, and a model comes from git", "install git", ToolMissingError)
    elif command is None:
        yield ok(check, "not installed; no model comes from git")
    else:
        done = subprocess.run(
            [command, "--version"], capture_output=True, text=True, check=False, timeout=_ANSWER_TIMEOUT_S
        )
        yield git_version(done.stdout.strip() or done.stderr.strip())


def git_version(output: str) -> Finding:
    """The finding for the output of `git --version`."""
    check, found = "tools: git", re.search(r"(\d+)\.(\d+)", output)
    if found is None:
        return failure(check, f"git --version printed: {output[:200]}", "install git again", ToolMissingError)
    if tuple(map(int, found.groups())) < OLDEST_GIT:
        newest = ".".join(map(str, OLDEST_GIT))
        return warning(check, f"{output}: whole repositories are fetched", f"install git {newest} or newer")
    return ok(check, output)


def credentials(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """The programs that Docker's configuration names for the registries' credentials."""
    check = "tools: credentials"
    directory = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        found = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        named = {found.get("credsStore"), *(found.get("credHelpers") or {}).values()} - {None, ""}
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        fix = "mend it, or move it away: docker login writes a new one"
        yield warning(check, f"{directory / 'config.json'} cannot be read: {error}", fix)
        return
    missing = [name for name in sorted(named) if shutil.which(f"docker-credential-{name}") is None]
    if missing:
        evidence = f"{directory / 'config.json'} names docker-credential-{missing[0]}, which is not installed"
        yield warning(check, evidence, "install it, or remove it from that file and docker login again")
    elif named:
        yield ok(check, ", ".join(f"docker-credential-{name}" for name in sorted(named)))


def proxies(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """A proxy that curl and most clients would also use for 127.0.0.1."""
    check = "tools: proxies"
    values = {name.lower(): value for name, value in environ.items() if value}
    proxy = next((name for name in ("http_proxy", "all_proxy") if name in values), "")
    direct = {part.strip() for part in values.get("no_proxy", "").split(",")}
    if proxy and not direct & {"127.0.0.1", "*", "127.0.0.0/8"}:
        yield warning(
            check,
            f"{proxy} is set and no_proxy does not name 127.0.0.1: curl and other clients ask the proxy for the model",
            "export no_proxy=127.0.0.1,localhost (this tool itself goes around it)",
        )
    else:
        yield ok(check, f"{proxy} is set, not for 127.0.0.1" if proxy else "none for http")


def file_system_ahead_s(directory: Path) -> float:
    """How far the file system's clock is ahead of ours, as a file server's may be; 0 where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".tfs-clock-") as file:
            now = time.time()
            written = Path(file.name).stat().st_mtime
    except OSError:
        return 0.0
    return written - now


def clock(ahead_s: Mapping[str, float]) -> Iterator[Finding]:
    """Our clock against others; by name of the other, how far that one is ahead."""
    off = {name: seconds for name, seconds in ahead_s.items() if abs(seconds) > TOLERATED_S}
    if off:
        offsets = ", ".join(
            f"the {name} is {abs(s):.0f} s {'ahead' if s > 0 else 'behind'}" for name, s in sorted(off.items())
        )
        yield warning("tools: clock", offsets, "set the clocks (timedatectl set-ntp true): certificates depend on them")
    else:
        yield ok("tools: clock", f"agrees with the {' and the '.join(sorted(ahead_s))}")
