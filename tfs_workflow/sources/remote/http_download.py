"""Downloads one file over HTTP, with the faults of networks and web servers in our own words.

Only faults that may pass are retried (`TransientFetchError`). A wrong address, missing credentials or an untrusted
certificate stay as they are however often they are tried. The checksum is taken while the bytes arrive, so that a large
file is read once.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfs_workflow import __version__
from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.errors import FetchFailedError, SourceUnreachableError
from tfs_workflow.sources.safe_directory import WriteLimits
from tfs_workflow.sources.transfer import TransferContext, TransientFetchError

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


def download(  # noqa: PLR0913  # what, from where, to where, and how it is shown
    address: str, where: str, target: Path, label: str, context: TransferContext, *, headers: Mapping[str, str] = {}
) -> str:
    """Download to a file and return its sha256, of the bytes as they were sent.

    Raises FetchFailedError, SourceUnreachableError, and TransientFetchError for a fault that is worth a retry.
    """
    digest = hashlib.sha256()
    done_bytes = 0
    with _network_faults(where), _answer(address, context, headers) as response:
        _check_status(response, where)
        length = response.headers.get("Content-Length", "")
        total_bytes = int(length) if length.isdigit() else None
        # Announced sizes first, so that a huge file is refused before it is downloaded.
        check_size(total_bytes or 0, where)
        with target.open("wb") as file:
            # Undecoded: some servers name gzip as the encoding of a .tar.gz, which is the archive itself.
            for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                context.check()
                file.write(chunk)
                digest.update(chunk)
                done_bytes += len(chunk)
                # Again on what has come, since the announcement may be missing or wrong.
                check_size(done_bytes, where)
                context.progress(label, done_bytes, total_bytes)
    return digest.hexdigest()


@contextmanager
def _answer(address: str, context: TransferContext, own: Mapping[str, str]) -> Iterator[requests.Response]:
    import requests

    context.check()
    # Uncompressed, so that Content-Length is the size of the file.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"tfs-workflow/{__version__}", **own}
    with requests.Session() as session:
        timeouts = (min(_CONNECT_S, context.idle_timeout_s), context.idle_timeout_s)
        with (
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
            "the web server does not give the file", where=where, evidence=evidence, fix=_FIXES.get(status, "")
        )


def check_size(size_bytes: int, where: str) -> None:
    """Raise FetchFailedError for a file above what one model may take."""
    if size_bytes > WriteLimits().size_bytes:
        raise FetchFailedError("the file is too large", where=where, evidence=f"{size_bytes} bytes or more")


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
