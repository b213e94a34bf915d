"""A model in a bucket of S3 or Google Cloud Storage, read through fsspec's file systems for them.

The file systems wait for the network in threads of their own and cannot be cancelled. So each wait is one of ours, and
only bytes come out of it: a call that is left behind writes nothing. s3fs does not retry here, since every fault is
retried by the transfer; gcsfs retries by itself and cannot be told otherwise, so that its faults are final.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import StoreSource
from tfs_workflow.errors import FetchFailedError, SourceUnreachableError, ToolMissingError
from tfs_workflow.sources.safe_directory import SafeWriter, WriteLimits
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext, TransientFetchError, waited, with_retries

# fsspec and the stores' packages are extras, and slow to import.
# ruff: noqa: PLC0415
_BLOCK_BYTES = 4 << 20
_CREDENTIALS = {
    "s3": "give credentials as the AWS tools take them: aws configure, AWS_PROFILE, or AWS_ACCESS_KEY_ID",
    "gs": "give credentials as Google's tools take them: gcloud auth application-default login",
}
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}


class BucketModelSource(ModelSource):
    """Copies every object below a path of a bucket."""

    needs_network = True

    def __init__(self, configured: StoreSource, yaml_dir: Path) -> None:  # noqa: ARG002  # as every kind is made
        self._address = configured.store.rstrip("/")
        self._scheme, _, self._path = self._address.partition("://")

    @property
    def description(self) -> str:
        """The address."""
        return f"store {self._address}"

    @property
    def version_name(self) -> str:
        """The last part of the path."""
        return self._path.rpartition("/")[2]

    def fetch_into(self, staging: Path, label: str, context: TransferContext) -> str:
        """Write the base path to `staging`/model; a bucket has no revision, so that the files' hashes alone pin it."""
        attempts = (staging / f"attempt-{number}" for number in count())
        with_retries(partial(self._attempt, attempts, staging / "model", label, context), context)
        return ""

    def _attempt(self, attempts: Iterator[Path], target: Path, label: str, context: TransferContext) -> None:
        with _store_faults(self._scheme, self.description):
            files = self._file_system(context)
            listing = waited(partial(files.find, self._path, detail=True), context, self.description)
            objects = _objects(listing, self._path, self.description)
            progress = _Progress(label, sum(objects.values()), context, self.description)
            writer = SafeWriter(next(attempts), WriteLimits())
            for name, size_bytes in objects.items():
                opened = partial(files.open, f"{self._path}/{name}", "rb", block_size=_BLOCK_BYTES)
                with waited(opened, context, self.description) as content:
                    writer.file(name, cast("IO[bytes]", _Reader(content.read, progress)), size_bytes)
        writer.finish()
        writer.root.rename(target)

    def _file_system(self, context: TransferContext) -> Any:
        file_system = self._file_system_class()
        logging.getLogger(_PACKAGES[self._scheme]).addHandler(logging.NullHandler())  # it logs what it also raises
        options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
        if self._scheme == "s3":
            has_credentials = waited(_has_aws_credentials, context, self.description)
            options |= {"anon": not has_credentials, "config_kwargs": _s3_configuration(context)}
        files = file_system(**options)
        files.retries = 1
        return files

    def _file_system_class(self) -> Any:
        try:
            import fsspec

            return fsspec.get_filesystem_class(self._scheme)
        except ImportError as error:
            missing = f"{self._scheme}:// needs the package {_PACKAGES[self._scheme]}"
            fix = f"pip install 'tfs-workflow[{self._scheme}]'"
            raise ToolMissingError(missing, where=self.description, fix=fix) from error


def _has_aws_credentials() -> bool:
    """Whether the AWS tools find any; without, a public bucket is read anonymously."""
    from botocore.session import Session

    return Session().get_credentials() is not None


def _s3_configuration(context: TransferContext) -> dict[str, Any]:
    limit_s = context.idle_timeout_s
    return {"connect_timeout": min(15.0, limit_s), "read_timeout": limit_s, "retries": {"max_attempts": 0}}


def _objects(listing: Mapping[str, Mapping[str, Any]], path: str, where: str) -> dict[str, int]:
    """Size by name below the path, without the empty objects that stand for directories."""
    prefix = f"{path}/"  # a listing may hold neighbours whose names begin alike
    below = {name.removeprefix(prefix): one for name, one in sorted(listing.items()) if name.startswith(prefix)}
    found = {
        name: int(one["size"] or 0) for name, one in below.items() if one["type"] == "file" and not name.endswith("/")
    }
    if found:
        return found
    what = "is one object, not a directory" if path in listing else "there is nothing at this address"
    raise FetchFailedError(what, where=where, fix="give the base path: what lies above the version directories")


class _Progress:
    """The bytes of one model so far."""

    def __init__(self, label: str, total_bytes: int, context: TransferContext, where: str) -> None:
        self.context = context
        self.where = where
        self._label = label
        self._total_bytes = total_bytes
        self._done_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Report some more bytes."""
        self._done_bytes += size_bytes
        self.context.progress(self._label, self._done_bytes, self._total_bytes)


class _Reader:
    """A stream whose reads can be cancelled."""

    def __init__(self, read: Callable[[int], bytes], progress: _Progress) -> None:
        self._read = read
        self._progress = progress

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes."""
        chunk = waited(partial(self._read, size), self._progress.context, self._progress.where)
        self._progress.add(len(chunk))
        return chunk


@contextmanager
def _store_faults(scheme: str, where: str) -> Iterator[None]:
    """Turn every error of the file systems into one of ours; most are OSErrors."""
    try:
        yield
    except (FetchFailedError, ToolMissingError):
        raise
    except FileNotFoundError as error:
        raise FetchFailedError(
            "there is nothing at this address", where=where, evidence=_evidence(error), fix="correct it in the YAML"
        ) from error
    except PermissionError as error:
        raise _refused(scheme, where, error) from error
    except _foreign_errors(scheme) as error:
        raise _unreachable(scheme, where, error) from error


def _refused(scheme: str, where: str, error: Exception) -> FetchFailedError:
    return FetchFailedError(
        "the store refuses to give it", where=where, evidence=_evidence(error), fix=_CREDENTIALS[scheme]
    )


def _unreachable(scheme: str, where: str, error: Exception) -> FetchFailedError:
    if _is_refusal(error):
        return _refused(scheme, where, error)
    kind = SourceUnreachableError if scheme == "gs" else TransientFetchError
    return kind("the store cannot be reached", where=where, evidence=_evidence(error))


def _is_refusal(error: Exception) -> bool:
    """Whether the store answered that it will not give it; gcsfs has no class of its own for that (gcsfs/retry.py)."""
    forbidden = isinstance(error, ValueError) or str(error).startswith("Forbidden")
    return forbidden or getattr(error, "code", None) in (401, 403) or "Credential" in type(error).__name__


def _foreign_errors(scheme: str) -> tuple[type[Exception], ...]:
    """What the packages raise besides OSErrors."""
    import aiohttp

    if scheme == "gs":
        import google.auth.exceptions
        from gcsfs.retry import HttpError

        return OSError, ValueError, TimeoutError, aiohttp.ClientError, HttpError, google.auth.exceptions.GoogleAuthError
    from botocore.exceptions import BotoCoreError

    return OSError, TimeoutError, aiohttp.ClientError, BotoCoreError


def _evidence(error: Exception) -> str:
    return without_secrets(" ".join(str(error).split())[:400]) or type(error).__name__
