"""A model in a tar or zip archive, on a web server or on this machine: hashed whole, compared, then unpacked.

Without a sha256 in the YAML, the one that was found goes into the lock file, and `setup --locked` holds to it.

The checksum is that of the whole archive and is compared before a byte is unpacked: what does not match never reaches
the code that reads archives. The archive is a file in staging, because zip needs to seek.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import ArchiveSource
from tfs_workflow.errors import FetchFailedError
from tfs_workflow.formats.model_kinds import kind_of
from tfs_workflow.sources.remote.http_download import check_size, download
from tfs_workflow.sources.remote.unpack import unpack
from tfs_workflow.sources.safe_directory import WriteLimits
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext, with_retries

_CHUNK_BYTES = 1 << 18


class ArchiveModelSource(ModelSource):
    """Downloads the archive or reads the local file, compares its sha256 with the YAML's if given, and unpacks it."""

    def __init__(self, configured: ArchiveSource, yaml_dir: Path) -> None:
        self._configured = configured
        self._yaml_dir = yaml_dir
        self._where = f"archive {without_secrets(configured.archive)}"

    @property
    def version_name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self._configured.path).name

    @property
    def needs_network(self) -> bool:
        """Whether the archive is on a web server."""
        return self._configured.archive.startswith(("http://", "https://"))

    @property
    def description(self) -> str:
        """The address without credentials, and the path in the archive."""
        return f"{self._where} {self._configured.path}"

    @property
    def identity(self) -> str:
        """The description with the archive's checksum, or with size and time of a local file without one."""
        if self._configured.sha256 or self.needs_network:
            return f"{self.description} {self._configured.sha256 or ''}".rstrip()
        return f"{self.description} {_size_and_time(self._local_file)}"

    @property
    def _local_file(self) -> Path:
        return self._yaml_dir / Path(self._configured.archive).expanduser()

    def fetch_into(self, staging: Path, label: str, context: TransferContext) -> str:
        """Write the base path to `staging`/model and return the archive's sha256."""
        configured, where = self._configured, self._where
        if self.needs_network:
            archive = staging / "archive"
            found = with_retries(lambda: download(configured.archive, where, archive, label, context), context)
        else:
            archive = self._local_file
            found = _digest(archive, where, label, context)
        _refuse_other_kinds(archive, configured.archive, where)
        _compare(configured.sha256, found, where)
        unpack(archive, configured.path, staging / "model", where, WriteLimits())
        return found


def _refuse_other_kinds(archive: Path, address: str, where: str) -> None:
    """Name what was given, or arrived, in place of an archive, before its checksum is found to be another one."""
    name = PurePosixPath(address.partition("?")[0]).name
    if kind := kind_of(archive, name):
        raise FetchFailedError(f"not an archive but {kind.name}", where=where, fix=kind.fix_for(Path(name)))


def _compare(expected: str | None, found: str, where: str) -> None:
    # After the whole download: a partial one has no checksum to compare.
    if expected and found != expected:
        raise FetchFailedError(
            "the archive is not the one that the YAML names",
            where=where,
            evidence=f"sha256 expected {expected}, found {found}",
            fix="if the new archive is the right one, put its sha256 into the YAML",
        )


def _size_and_time(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _digest(file: Path, where: str, label: str, context: TransferContext) -> str:
    """The sha256 of a local file."""
    digest, done_bytes = hashlib.sha256(), 0
    try:
        total_bytes = file.stat().st_size
        check_size(total_bytes, where)
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK_BYTES):
                context.check()
                digest.update(chunk)
                done_bytes += len(chunk)
                context.progress(label, done_bytes, total_bytes)
    except OSError as error:
        evidence, fix = f"{error.strerror}: {file}", "a relative path starts at the YAML file"
        raise FetchFailedError("the archive cannot be read", where=where, evidence=evidence, fix=fix) from error
    return digest.hexdigest()
