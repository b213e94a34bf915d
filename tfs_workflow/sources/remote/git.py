"""A model in a git repository: one commit, without history, and of its files only those below the base path.

A checkout needs the history, a working tree, hooks and filters; a model needs none of them. So a commit is fetched at
depth 1 without file contents, the tree is listed, and only the blobs below the base path are requested and read through
`cat-file --batch`. Nothing of the repository is ever executed: neither hooks nor filters nor attributes apply to an
object that is only read (docs/decisions/0006-git-without-a-checkout.md).

Servers differ in what they allow. Three forms of the request are tried, from the smallest to the one that every server
takes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import GitSource
from tfs_workflow.errors import ConfigError, FetchFailedError
from tfs_workflow.formats.model_kinds import LFS_POINTER
from tfs_workflow.sources.remote.git_process import GitRefusedError, GitRepository
from tfs_workflow.sources.safe_directory import SafeWriter, WriteLimits
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext, with_retries

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
# The configuration rejects options already; a YAML escape can still bring a control character, or a ref be a refspec.
_OPTION = re.compile(r"^-|[\x00-\x1f\x7f]")
_REFSPEC = re.compile(_OPTION.pattern + r"|^\+|[ :*^?~\[\\]")
_OBJECTS_PER_CALL = 1000  # 41 bytes each: far below the system's limit for a command line
# Links and Git LFS pointers are below this; anything larger is streamed to the disk unread.
_SMALL_BYTES = 4096
_NO_NEGOTIATION = ("-c", "fetch.negotiationAlgorithm=noop")
# From the smallest request, which not every server accepts, to the one that every server accepts.
_PLANS = (("--depth=1", "--filter=blob:none"), ("--depth=1",), ())


@dataclass(frozen=True)
class _Entry:
    """One line of `git ls-tree`: mode as git writes it, object, and the path below the base path."""

    mode: str
    object_id: str
    name: str


class GitModelSource(ModelSource):
    """Fetches one commit of a repository with the system's git."""

    needs_git = True

    def __init__(self, configured: GitSource, yaml_dir: Path) -> None:
        self._configured = configured
        self._yaml_dir = yaml_dir

    @property
    def description(self) -> str:
        """The address without credentials, the ref and the path in the repository."""
        return f"git {without_secrets(self._configured.git)} {self._configured.ref} {self._configured.path}"

    @property
    def version_name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self._configured.path).name

    @property
    def needs_network(self) -> bool:
        """Whether the repository is on another machine."""
        return not self._configured.git.startswith("file://") and _is_remote(self._configured.git)

    def fetch_into(self, staging: Path, label: str, context: TransferContext) -> str:
        """Write the base path to `staging`/model and return the commit.

        ConfigError for an address or a ref that git cannot take, and FetchFailedError, SourceUnreachableError and
        ToolMissingError.
        """
        self._check_arguments()
        for number, plan in enumerate(_PLANS):
            attempts = (staging / f"attempt-{number}-{attempt}" for attempt in count())
            try:
                return with_retries(partial(self._attempt, plan, attempts, staging / "model", label, context), context)
            except GitRefusedError:
                if plan == _PLANS[-1]:
                    raise
        raise AssertionError("the last plan returns or raises")

    def _check_arguments(self) -> None:
        configured = self._configured
        for text, pattern in ((configured.git, _OPTION), (configured.path, _OPTION), (configured.ref, _REFSPEC)):
            if pattern.search(text):
                shown = repr(without_secrets(text))
                raise ConfigError("not a valid argument for git", where="git source", evidence=shown)

    def _attempt(
        self, plan: tuple[str, ...], directories: Iterator[Path], target: Path, label: str, context: TransferContext
    ) -> str:
        # A fresh repository for each attempt, whatever state a failed one was left in.
        directory = next(directories)
        directory.mkdir()
        where = f"git {without_secrets(self._configured.git)}"
        repository = GitRepository(directory / "git", where, label, context)
        repository.init(self._address())
        path = "/".join(PurePosixPath(self._configured.path).parts)
        return _fetch_model(repository, self._configured.ref, path, plan, target)

    def _address(self) -> str:
        address = self._configured.git
        return address if _is_remote(address) else str((self._yaml_dir / Path(address).expanduser()).absolute())


def _fetch_model(repository: GitRepository, ref: str, path: str, plan: tuple[str, ...], target: Path) -> str:
    commit = _fetch_commit(repository, ref, plan)
    entries = _entries(repository, commit, path)
    _fetch_blobs(repository, f"{commit}:{path}")
    _write(repository, entries, target)
    return commit


def _fetch_commit(repository: GitRepository, ref: str, plan: tuple[str, ...]) -> str:
    # A server that refuses single commits still gives its branches and tags: the commit is in there, or nowhere.
    everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    wanted = everything if not plan and _COMMIT.fullmatch(ref) else (ref,)
    try:
        repository.run("fetch", "--progress", "--no-tags", *plan, "--", "origin", *wanted, network=True)
        name = ref if wanted is everything else "FETCH_HEAD"
        return repository.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    except GitRefusedError:
        raise
    except FetchFailedError as error:
        if re.search(r"couldn't find remote ref|not our ref|bad object|without a word", error.evidence):
            raise _no_such_ref(repository, ref, error) from error
        raise


def _entries(repository: GitRepository, commit: str, path: str) -> list[_Entry]:
    try:
        listing = repository.run("ls-tree", "-r", "-z", "--full-tree", f"{commit}:{path}")
    except FetchFailedError as error:
        raise _no_such_path(repository, commit, path, error) from error
    entries = []
    for line in filter(None, listing.split(b"\0")):
        facts, _, name = line.partition(b"\t")
        mode, _, object_id = facts.decode().split(" ")
        entries.append(_Entry(mode, object_id, name.decode("utf-8", "surrogateescape")))
    return entries


def _fetch_blobs(repository: GitRepository, tree: str) -> None:
    """Fetch what the filter left out below the base path, in one go; nothing where the server sent it all anyway."""
    listing = repository.run("rev-list", "--objects", "--missing=print", tree).decode("utf-8", "replace")
    missing = [line[1:] for line in listing.splitlines() if line.startswith("?")]
    for start in range(0, len(missing), _OBJECTS_PER_CALL):
        # The same request that git makes by itself when it needs a missing object, but for all of them at once.
        wanted = missing[start : start + _OBJECTS_PER_CALL]
        options = ("--progress", "--no-tags", "--no-write-fetch-head", "--filter=blob:none")
        repository.run(*_NO_NEGOTIATION, "fetch", *options, "--", "origin", *wanted, network=True)


def _write(repository: GitRepository, entries: list[_Entry], target: Path) -> None:
    writer = SafeWriter(target, WriteLimits())
    with repository.blobs(entry.object_id for entry in entries if entry.mode != "160000") as blobs:
        done_bytes = 0
        for entry in entries:
            repository.context.check()
            if entry.mode == "160000":
                raise FetchFailedError("a submodule is below the base path", where=f"{repository.where}: {entry.name}")
            size_bytes = int(blobs.readline().rpartition(b" ")[2])
            _write_entry(writer, entry, blobs, size_bytes, repository.where)
            blobs.read(1)  # the line end after each object
            done_bytes += size_bytes
    writer.finish()
    repository.context.progress(repository.label, done_bytes, done_bytes)


def _write_entry(writer: SafeWriter, entry: _Entry, blobs: IO[bytes], size_bytes: int, where: str) -> None:
    if entry.mode != "120000" and size_bytes > _SMALL_BYTES:
        writer.file(entry.name, blobs, size_bytes)
        return
    content = blobs.read(min(size_bytes, _SMALL_BYTES))
    if entry.mode == "120000":
        writer.link(entry.name, content.decode("utf-8", "surrogateescape"))
        return
    if content.startswith(LFS_POINTER):
        raise FetchFailedError(
            "a file of the model is only a Git LFS pointer in this repository",
            where=f"{where}: {entry.name}",
            fix="take an archive source, or fetch it with git-lfs yourself and take a directory source",
        )
    writer.file(entry.name, BytesIO(content), size_bytes)


def _is_remote(text: str) -> bool:
    """A URL, or git's short form `user@host:path`: a colon before the first slash."""
    return ":" in text.partition("/")[0]


def _no_such_ref(repository: GitRepository, ref: str, error: FetchFailedError) -> FetchFailedError:
    listing = repository.run("ls-remote", "--heads", "--tags", "--refs", "--", "origin", network=True).decode()
    names = [re.sub(r"^refs/(heads|tags)/", "", line.partition("\t")[2]) for line in listing.splitlines()]
    if re.fullmatch(r"[0-9a-f]{7,39}", ref):
        fix = "give the full 40 digits of a commit: a server finds no abbreviated one"
    else:
        fix = f"there are: {_nearest(ref, names)}"
    what = f"the repository has no branch, tag or commit {ref!r}"
    return FetchFailedError(what, where=repository.where, evidence=error.evidence, fix=fix)


def _no_such_path(repository: GitRepository, commit: str, path: str, error: FetchFailedError) -> FetchFailedError:
    listing = repository.run("ls-tree", "-r", "-d", "-z", "--name-only", commit).decode("utf-8", "replace")
    return FetchFailedError(
        f"commit {commit[:12]} has no directory {path!r}",
        where=repository.where,
        evidence=error.evidence,
        fix=f"there are: {_nearest(path, listing.split(chr(0)))}",
    )


def _nearest(wanted: str, names: list[str]) -> str:
    """Up to five of the names, those that look like the wanted one first."""
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.5)
    return ", ".join((near or [name for name in names if name])[:5]) or "none"
