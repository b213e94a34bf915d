"""Runs git for one fetch: without prompts and hooks, with idle timeouts, and with its errors translated.

Git is an external program with a network behind it. It can prompt for a password, run hooks, fetch more objects by
itself, or wait for ever. Each is closed off by an option or a variable below; the user's own credential helpers stay in
use. Protocols that run commands (`ext::`) are excluded by a list of those allowed, not by a list of those forbidden.

A fetch of a large model takes long without being stuck, so the whole duration has no limit; only silence has one.
Progress on stderr counts as a sign of life, and stderr is read here at the same time as the transfer runs. Git gives no
codes for its errors, so its English texts are matched (`_MEANINGS`), and the first match counts.
"""

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
from tfs_workflow.errors import ConfigError, FetchFailedError, SourceUnreachableError, ToolMissingError, WorkflowError
from tfs_workflow.sources.safe_directory import no_space
from tfs_workflow.sources.transfer import TransferContext, TransientFetchError
from tfs_workflow.state.cleanup import STAGED_FOR

# Without any output for this long the server counts as absent; later pauses may last `idle_timeout_s`.
FIRST_OUTPUT_TIMEOUT_S = 20.0
_CANCEL_CHECK_INTERVAL_S = 0.1
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RECEIVED = re.compile(r"(?:Receiving|Unpacking) objects: .*?([\d.]+) (bytes|KiB|MiB|GiB)")
_FATAL = re.compile(r"^(fatal|error|remote error|ssh): |Permission denied|Host key verification", re.IGNORECASE)
# Inherited, from a git hook for instance, they would point git at another repository.
_INHERITED_VARIABLES = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
}  # fmt: skip
_OPTIONS = (
    "core.hooksPath=/dev/null", "protocol.ext.allow=never", "gc.auto=0", "maintenance.auto=false",
    "submodule.recurse=false", "fetch.recurseSubmodules=false", "fetch.writeCommitGraph=false",
)  # fmt: skip


class GitRefusedError(FetchFailedError):
    """The server has the objects, but rejects this form of request; a plainer one may work."""


# A pattern in git's output (in English: LC_ALL=C), the error that it means, and its words; the first match counts.
_MEANINGS: tuple[tuple[str, type[WorkflowError], str, str], ...] = (
    (
        r"unadvertised object|not support (shallow|filter|--filter)",
        GitRefusedError,
        "the git server refuses this request",
        "",
    ),
    (
        r"transport '.*' not allowed|strange (host|path)name|nvalid refspec",
        ConfigError,
        "not a valid request to git",
        "give an https, http, ssh, git or file address, and a branch, tag or full commit",
    ),
    (
        r"could not read (Username|Password)|Authentication failed|returned error: 40[137]|HTTP code 407"
        r"|Permission denied",
        FetchFailedError,
        "the git server wants credentials, or has no such repository",
        "give git credentials for it (a credential helper, a token, an ssh agent), or correct the address",
    ),
    (
        r"Host key verification failed|certificate|SSL peer|dubious ownership",
        FetchFailedError,
        "git does not trust this repository",
        "make the same `git ls-remote` succeed by hand first",
    ),
    (
        r"returned error: 404|repository .* not found|not appear to be a git repo|not a git repo|is this a git repo",
        FetchFailedError,
        "there is no such git repository",
        "correct the address in the YAML",
    ),
    (
        r"returned error: (408|429|5\d\d)|early EOF|hung up|unexpected (disconnect|eof)|RPC failed|reset by peer"
        r"|resolve host|Name or service|name resolution|[Ff]ailed to connect|Couldn't connect|unable to connect"
        r"|[Cc]onnection (refused|timed out|closed|reset)|Empty reply|timed out|too slow|No route to host|unreachable"
        r"|gnutls|SSL_|bad line length|protocol error|expected flush|Could not read from remote",
        TransientFetchError,
        "the git server cannot be reached",
        "",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class GitRepository:
    """A bare repository of our own, with the foreign one as its only remote, `origin`."""

    directory: Path
    where: str
    label: str
    context: TransferContext

    def init(self, address: str) -> None:
        """Make it. The address goes into the configuration file, so that it is on no command line of ours."""
        self.run("init", "--quiet", "--bare", "--template=")
        quoted = address.replace("\\", "\\\\").replace('"', '\\"')
        with (self.directory / "config").open("a", encoding="utf-8") as config:
            config.write(f'[remote "origin"]\n\turl = "{quoted}"\n')

    def run(self, *arguments: str, network: bool = False) -> bytes:
        """Git's standard output; FetchFailedError, TransientFetchError or SourceUnreachableError when it fails.

        With `network` silence is bounded; local commands print nothing while they work. Raises also ConfigError, for
        arguments that git rejects, and ToolMissingError without git.
        """
        self.context.check()
        # A file and not a pipe: stderr is read meanwhile, and a full pipe would block git for ever.
        with (self.directory.parent / "stdout").open("w+b") as stdout:
            with self._started(arguments, stdin=subprocess.DEVNULL, stdout=stdout) as process:
                output = self._read_stderr(process, network)
            if process.returncode:
                raise self._failure(output)
            stdout.seek(0)
            return stdout.read()

    @contextmanager
    def blobs(self, object_ids: Iterable[str]) -> Iterator[IO[bytes]]:
        """The output of `git cat-file --batch` for these objects, which must be there."""
        # Git reads the requests from a file, so that nothing here has to write and read at the same time.
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
            raise ToolMissingError("git is not installed", where=self.where, fix=fix)
        options = (part for option in _OPTIONS for part in ("-c", option))
        argv = [*_ends_with_parent(), "git", f"--git-dir={self.directory}", *options, *arguments]
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
                    # The whole group: git starts ssh and remote helpers.
                    os.killpg(process.pid, signal.SIGKILL)

    def _read_stderr(self, process: subprocess.Popen[bytes], network: bool) -> list[str]:
        """Git's stderr up to its end; raises, which ends git, after an idle timeout or a cancellation."""
        if process.stderr is None:
            raise TypeError("stderr is a pipe")
        output = ""
        output_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stderr, selectors.EVENT_READ)
            while True:
                self.context.check()
                if selector.select(_CANCEL_CHECK_INTERVAL_S):
                    chunk = os.read(process.stderr.fileno(), 65536)
                    if not chunk:
                        break
                    output += chunk.decode("utf-8", "replace").replace("\r", "\n")
                    output_at = time.monotonic()
                    self._report(output)
                elif network and time.monotonic() - output_at > self._idle_timeout_s(output):
                    raise self._idle(output)
        process.wait()
        return [line.strip() for line in output.splitlines() if line.strip()]

    def _idle_timeout_s(self, output: str) -> float:
        return self.context.idle_timeout_s if output else min(FIRST_OUTPUT_TIMEOUT_S, self.context.idle_timeout_s)

    def _idle(self, output: str) -> SourceUnreachableError:
        evidence = f"no output for {self._idle_timeout_s(output):g} s"
        if output:
            return TransientFetchError("the git server stopped sending", where=self.where, evidence=evidence)
        # Not retried: the timeout was long enough for one that only starts slowly.
        return SourceUnreachableError("the git server does not answer", where=self.where, evidence=evidence)

    def _report(self, output: str) -> None:
        if found := _RECEIVED.findall(output[-400:]):
            number, unit = found[-1]
            self.context.progress(self.label, int(float(number) * _UNITS[unit]), None)

    def _failure(self, output: list[str]) -> WorkflowError:
        telling = [line for line in output if _FATAL.search(line)] or output[-1:] or ["git ended without a word"]
        text = without_secrets("\n".join(output))
        evidence = without_secrets(telling[0].removeprefix("fatal: "))
        if "No space left on device" in text:
            return no_space(self.directory.parent)
        for pattern, kind, what, fix in _MEANINGS:
            if re.search(pattern, text):
                return kind(what, where=self.where, evidence=evidence, fix=fix)
        return FetchFailedError("git failed", where=self.where, evidence=evidence)


@cache
def _ends_with_parent() -> tuple[str, ...]:
    """A command prefix that ends git when this process is killed with SIGKILL; empty before util-linux 2.33."""
    prefix = ("setpriv", "--pdeathsig", "KILL", "--")
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return prefix if works else ()


def _environment(directory: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _INHERITED_VARIABLES}
    return inherited | {
        # English, which `_MEANINGS` matches.
        "LC_ALL": "C",
        "LANGUAGE": "C",
        # A prompt would wait for ever where there is no terminal.
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",  # above every protocol.* of the user's own configuration
        # A missing object is an error here: git would otherwise fetch it alone, one request for each.
        "GIT_NO_LAZY_FETCH": "1",
        STAGED_FOR: str(directory),
    }
