"""Runs git for one fetch: no prompts, no hooks, bounded silence, and its complaints translated."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.errors import ConfigError, FetchFailed, SourceUnreachable, ToolMissing, WorkflowError
from tfs_workflow.sources.safe_directory import no_space
from tfs_workflow.sources.transfer import Transfer, TransientFault
from tfs_workflow.state.cleanup import STAGED_FOR

# A server that says nothing at all for this long is not there; later silences may last `Transfer.silence_s`.
FIRST_SIGN_S = 20.0
_LOOK_UP_S = 0.1
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RECEIVED = re.compile(r"(?:Receiving|Unpacking) objects: .*?([\d.]+) (bytes|KiB|MiB|GiB)")
_FATAL = re.compile(r"^(fatal|error|remote error|ssh): |Permission denied|Host key verification", re.IGNORECASE)
# Set for git by whoever started us (a git hook, say), they would point it at another repository.
_FOREIGN = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
}  # fmt: skip
_OPTIONS = (
    "core.hooksPath=/dev/null", "protocol.ext.allow=never", "gc.auto=0", "maintenance.auto=false",
    "submodule.recurse=false", "fetch.recurseSubmodules=false", "fetch.writeCommitGraph=false",
)  # fmt: skip


class Refused(FetchFailed):
    """The server is there and has the objects, but does not do what was asked; a plainer request may work."""


# What git says (in English: LC_ALL=C), whether it can pass, and what it means; the first that matches counts.
_MEANINGS: tuple[tuple[str, type[WorkflowError], str, str], ...] = (
    (r"unadvertised object|not support (shallow|filter|--filter)", Refused, "the git server refuses this request", ""),
    (
        r"transport '.*' not allowed|strange (host|path)name|nvalid refspec",
        ConfigError,
        "not something that git may be asked for",
        "give an https, http, ssh, git or file address, and a branch, tag or full commit",
    ),
    (
        r"could not read (Username|Password)|Authentication failed|returned error: 40[137]|HTTP code 407"
        r"|Permission denied",
        FetchFailed,
        "the git server wants credentials, or has no such repository",
        "give git credentials for it (a credential helper, a token, an ssh agent), or correct the address",
    ),
    (
        r"Host key verification failed|certificate|SSL peer|dubious ownership",
        FetchFailed,
        "git does not trust this repository",
        "make the same `git ls-remote` succeed by hand first",
    ),
    (
        r"returned error: 404|repository .* not found|not appear to be a git repo|not a git repo|is this a git repo",
        FetchFailed,
        "there is no such git repository",
        "correct the address in the YAML",
    ),
    (
        r"returned error: (408|429|5\d\d)|early EOF|hung up|unexpected (disconnect|eof)|RPC failed|reset by peer"
        r"|resolve host|Name or service|name resolution|[Ff]ailed to connect|Couldn't connect|unable to connect"
        r"|[Cc]onnection (refused|timed out|closed|reset)|Empty reply|timed out|too slow|No route to host|unreachable"
        r"|gnutls|SSL_|bad line length|protocol error|expected flush|Could not read from remote",
        TransientFault,
        "the git server cannot be reached",
        "",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """A bare repository of our own, with the foreign one as its only remote, `origin`."""

    directory: Path
    where: str
    label: str
    transfer: Transfer

    def init(self, address: str) -> None:
        """Make it. The address goes into the configuration file, so that it is on no command line of ours."""
        self.run("init", "--quiet", "--bare", "--template=")
        quoted = address.replace("\\", "\\\\").replace('"', '\\"')
        with (self.directory / "config").open("a", encoding="utf-8") as config:
            config.write(f'[remote "origin"]\n\turl = "{quoted}"\n')

    def run(self, *arguments: str, network: bool = False) -> bytes:
        """Git's standard output; FetchFailed, TransientFault or SourceUnreachable when it fails."""
        self.transfer.check()
        with (self.directory.parent / "stdout").open("w+b") as output:
            with self._started(arguments, stdin=subprocess.DEVNULL, stdout=output) as process:
                said = self._listen(process, network)
            if process.returncode:
                raise self._failure(said)
            output.seek(0)
            return output.read()

    @contextmanager
    def blobs(self, object_ids: Iterable[str]) -> Iterator[IO[bytes]]:
        """The output of `git cat-file --batch` for these objects, which must be there."""
        requests = self.directory.parent / "requests"
        requests.write_text("".join(f"{object_id}\n" for object_id in object_ids))
        with (
            requests.open("rb") as stdin,
            self._started(("cat-file", "--batch"), stdin=stdin, stdout=subprocess.PIPE) as process,
        ):
            if process.stdout is None:
                raise TypeError("stdout is a pipe")
            yield process.stdout

    @contextmanager
    def _started(
        self, arguments: tuple[str, ...], stdin: int | BinaryIO, stdout: int | BinaryIO
    ) -> Iterator[subprocess.Popen[bytes]]:
        if shutil.which("git") is None:
            fix = "install git (Debian, Ubuntu: apt-get install git), or take an archive or directory source"
            raise ToolMissing("git is not installed", where=self.where, fix=fix)
        options = (part for option in _OPTIONS for part in ("-c", option))
        argv = [*_dies_with_us(), "git", f"--git-dir={self.directory}", *options, *arguments]
        stderr = subprocess.DEVNULL if stdout == subprocess.PIPE else subprocess.PIPE
        # In a session of its own, so that it and all that it starts can be ended together, and nothing prompts.
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, env=_environment(self.directory), start_new_session=True
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def _listen(self, process: subprocess.Popen[bytes], network: bool) -> list[str]:
        """Everything that git says on stderr until it ends; ends it when it is silent for too long or called off."""
        if process.stderr is None:
            raise TypeError("stderr is a pipe")
        said = ""
        heard_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stderr, selectors.EVENT_READ)
            while True:
                self.transfer.check()
                if selector.select(_LOOK_UP_S):
                    chunk = os.read(process.stderr.fileno(), 65536)
                    if not chunk:
                        break
                    said += chunk.decode("utf-8", "replace").replace("\r", "\n")
                    heard_at = time.monotonic()
                    self._report(said)
                elif network and time.monotonic() - heard_at > self._patience_s(said):
                    raise self._silent(said)
        process.wait()
        return [line.strip() for line in said.splitlines() if line.strip()]

    def _patience_s(self, said: str) -> float:
        return self.transfer.silence_s if said else min(FIRST_SIGN_S, self.transfer.silence_s)

    def _silent(self, said: str) -> SourceUnreachable:
        evidence = f"no sign of it for {self._patience_s(said):g} s"
        if said:
            return TransientFault("the git server stopped sending", where=self.where, evidence=evidence)
        # Waiting once more would hardly help: it is not retried.
        return SourceUnreachable("the git server does not answer", where=self.where, evidence=evidence)

    def _report(self, said: str) -> None:
        if found := _RECEIVED.findall(said[-400:]):
            number, unit = found[-1]
            self.transfer.progress(self.label, int(float(number) * _UNITS[unit]), None)

    def _failure(self, said: list[str]) -> WorkflowError:
        telling = [line for line in said if _FATAL.search(line)] or said[-1:] or ["git ended without a word"]
        text = without_secrets("\n".join(said))
        evidence = without_secrets(telling[0].removeprefix("fatal: "))
        if "No space left on device" in text:
            return no_space(self.directory.parent)
        for pattern, kind, what, fix in _MEANINGS:
            if re.search(pattern, text):
                return kind(what, where=self.where, evidence=evidence, fix=fix)
        return FetchFailed("git failed", where=self.where, evidence=evidence)


@cache
def _dies_with_us() -> tuple[str, ...]:
    """What makes git end when this process is killed with SIGKILL, where the system has it (util-linux 2.33)."""
    prefix = ("setpriv", "--pdeathsig", "KILL", "--")
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return prefix if works else ()


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return kept | {
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",  # above every protocol.* of the user's own configuration
        "GIT_NO_LAZY_FETCH": "1",
        STAGED_FOR: str(directory),
    }
