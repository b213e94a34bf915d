"""A model in a tar or zip archive, on a web server or on this machine: hashed whole, compared, then unpacked.

Without a sha256 in the YAML, the one that was found goes into the lock file, and `setup --locked` holds to it.

The checksum is that of the whole archive, taken while it is downloaded, and compared before a byte is unpacked: what
does not match never reaches the code that reads archives. The archive is a file in staging, because zip needs to seek
and a second reader must see the same bytes.

Only faults that may pass are retried (`TransientFetchError`). A wrong address, missing credentials or an untrusted
certificate stay as they are however often they are tried.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tfs_workflow import __version__
from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import ArchiveSource
from tfs_workflow.errors import FetchFailedError, SourceUnreachableError
from tfs_workflow.formats.model_kinds import kind_of
from tfs_workflow.sources.safe_directory import WriteLimits
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext, TransientFetchError, with_retries
from tfs_workflow.sources.unpack import unpack

if TYPE_CHECKING:
    import requests

# requests is imported where it downloads: that takes longer than a whole `setup` that has nothing to do.
# ruff: noqa: PLC0415
# Time to connect; the idle timeout of the transfer bounds all reads after that.
_CONNECT_S = 15.0
_CANCEL_CHECK_INTERVAL_S = 0.1
_CHUNK_BYTES = 1 << 18
# Request timeout, too early, too many requests (RFC 9110, RFC 8470, RFC 6585); 5xx is added below.
_TRANSIENT = {408, 425, 429}
_FIXES = {
    401: "the server wants credentials: put them into ~/.netrc",
    403: "the server refuses: put credentials into ~/.netrc, or take a fresh address if this one was signed for a time",
    404: "correct the address in the YAML",
    410: "correct the address in the YAML",
}


class ArchiveModelSource(ModelSource):
    """Downloads the archive or reads the local file, compares its sha256 with the YAML's if given, and unpacks it.

    The checksum of an archive without one in the YAML is recorded as its commit, and pinned by the lock file.
    """

    def __init__(self, configured: ArchiveSource, yaml_dir: Path) -> None:
        self._configured = configured
        self._yaml_dir = yaml_dir
        self._where = f"archive {without_secrets(configured.archive)}"

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
            found = with_retries(lambda: _download(configured.archive, where, archive, label, context), context)
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
        _check_size(total_bytes, where)
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


def _download(address: str, where: str, archive: Path, label: str, context: TransferContext) -> str:
    """Download to a file and return its sha256, of the bytes as they were sent."""
    digest = hashlib.sha256()
    done_bytes = 0
    with _network_faults(where), _answer(address, context) as response:
        _check_status(response, where)
        length = response.headers.get("Content-Length", "")
        total_bytes = int(length) if length.isdigit() else None
        # Announced sizes first, so that a huge archive is refused before it is downloaded.
        _check_size(total_bytes or 0, where)
        with archive.open("wb") as file:
            # Undecoded: some servers name gzip as the encoding of a .tar.gz, which is the archive itself.
            for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                context.check()
                file.write(chunk)
                digest.update(chunk)
                done_bytes += len(chunk)
                # Again on what has come, since the announcement may be missing or wrong.
                _check_size(done_bytes, where)
                context.progress(label, done_bytes, total_bytes)
    return digest.hexdigest()


@contextmanager
def _answer(address: str, context: TransferContext) -> Iterator[requests.Response]:
    import requests

    context.check()
    # Uncompressed, so that Content-Length is the size of the archive.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"tfs-workflow/{__version__}"}
    with requests.Session() as session:
        timeouts = (min(_CONNECT_S, context.idle_timeout_s), context.idle_timeout_s)
        with (
            # requests reads ~/.netrc by itself, which is where credentials belong.
            session.get(address, headers=headers, stream=True, timeout=timeouts) as response,
            _cut_short(response, context),
        ):
            yield response


@contextmanager
def _cut_short(response: requests.Response, context: TransferContext) -> Iterator[None]:
    """End a read that waits for the network as soon as the transfer is cancelled (needs urllib3 2.3)."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_CANCEL_CHECK_INTERVAL_S):
            if context.cancelled.is_set() and hasattr(response.raw, "shutdown"):
                response.raw.shutdown()
                return

    # requests has no way to end a blocked read from outside but shutting down the socket under it.
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
        context.check()
    except Exception:
        context.check()  # the network error of a read that we cut short is not the cause
        raise
    finally:
        done.set()


@contextmanager
def _network_faults(where: str) -> Iterator[None]:
    """Turn every error of requests and urllib3 into one of ours."""
    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.ConnectTimeout as error:
        # Not retried: the server was silent for the whole timeout already.
        # Unreachable, so that the next source of the list is tried.
        raise SourceUnreachableError("the web server does not answer", where=where, evidence=_cause(error)) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects, ValueError) as error:
        raise FetchFailedError("the address leads nowhere", where=where, evidence=_cause(error)) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            fix = "set REQUESTS_CA_BUNDLE to the certificate authority of your network, or correct the address"
            raise FetchFailedError(
                "the web server is not trusted", where=where, evidence=_cause(error), fix=fix
            ) from error
        raise TransientFetchError("the web server cannot be reached", where=where, evidence=_cause(error)) from error


def _check_status(response: requests.Response, where: str) -> None:
    status = response.status_code
    evidence = f"HTTP {status} {response.reason}"
    if status in _TRANSIENT or status >= 500:
        pause_s = _retry_after_s(response.headers.get("Retry-After", ""))
        what = "the web server cannot answer now"
        raise TransientFetchError(what, where=where, evidence=evidence, retry_after_s=pause_s)
    if status != 200:
        raise FetchFailedError(
            "the web server does not give the archive", where=where, evidence=evidence, fix=_FIXES.get(status, "")
        )


def _check_size(size_bytes: int, where: str) -> None:
    if size_bytes > WriteLimits().size_bytes:
        raise FetchFailedError("the archive is too large", where=where, evidence=f"{size_bytes} bytes or more")


def _retry_after_s(value: str) -> float:
    """Seconds from a Retry-After header: a number or a date; 0 when there is neither (RFC 9110, 10.2.3)."""
    if value.strip().isdigit():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    now = datetime.datetime.now(date.tzinfo)
    return max(0.0, (date - now).total_seconds())


def _cause(error: BaseException) -> str:
    """The innermost reason, since requests wraps the system's error several times and adds the whole address."""
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    if isinstance(inner, BaseException):
        return _cause(inner)
    return without_secrets(str(error)) or type(error).__name__
