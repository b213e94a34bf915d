"""A model in a repository of the Hugging Face Hub: one commit, of its files only those below a path.

The Hub's own client says which commit a revision is and which files it has; the files are downloaded like any other,
so that they are retried and cancelled like them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tfs_workflow.config.redaction import without_secrets
from tfs_workflow.config.types import StoreSource
from tfs_workflow.errors import FetchFailedError, ToolMissingError
from tfs_workflow.sources.remote.http_download import download
from tfs_workflow.sources.safe_directory import SafeWriter, WriteLimits
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.sources.transfer import TransferContext, TransientFetchError, waited, with_retries

# The Hub's client is an extra, and slow to import.
# ruff: noqa: PLC0415
_ADDRESS = re.compile(r"hf://(?P<repository>[^/]+/[^/@]+)(?:@(?P<revision>[^/]+))?/?(?P<path>.*?)/?")
_FIX = "correct it in the YAML; for a private or gated repository: hf auth login, or HF_TOKEN"
_TRANSIENT = (408, 425, 429)


class HubModelSource(ModelSource):
    """Downloads the files of one commit; the commit is what the lock pins."""

    needs_network = True

    def __init__(self, configured: StoreSource, yaml_dir: Path) -> None:  # noqa: ARG002  # as every kind is made
        self._address = configured.store
        parts = _ADDRESS.fullmatch(configured.store)
        if parts is None:
            raise TypeError("the configuration checks addresses")
        self._repository, self._path = parts["repository"], parts["path"]
        self._revision = parts["revision"] or "main"

    @property
    def description(self) -> str:
        """The address."""
        return f"store {self._address}"

    @property
    def version_name(self) -> str:
        """The last part of the path."""
        return self._path.rpartition("/")[2]

    def fetch_into(self, staging: Path, label: str, context: TransferContext) -> str:
        """Write the base path to `staging`/model and return the commit."""
        hub = self._client()
        commit, sizes = with_retries(partial(self._listing, hub, context), context)
        writer = SafeWriter(staging / "model", WriteLimits())
        headers = {"Authorization": f"Bearer {token}"} if (token := hub.get_token()) else {}
        for name, size_bytes in sizes.items():
            inside = f"{self._path}/{name}".lstrip("/")
            url = hub.hf_hub_url(self._repository, inside, revision=commit, endpoint=_endpoint())
            part, where = staging / "part", f"{self.description}: {inside}"
            with_retries(partial(download, url, where, part, label, context, headers=headers), context)
            with part.open("rb") as content:
                writer.file(name, content, size_bytes)
        writer.finish()
        return commit

    def _client(self) -> Any:
        try:
            import huggingface_hub
        except ImportError as error:
            what, fix = "hf:// needs the package huggingface_hub", "pip install 'tfs-workflow[hf]'"
            raise ToolMissingError(what, where=self.description, fix=fix) from error
        return huggingface_hub

    def _listing(self, hub: Any, context: TransferContext) -> tuple[str, Mapping[str, int]]:
        """The commit, and size by name below the path."""
        call = partial(
            hub.HfApi(endpoint=_endpoint()).model_info, self._repository, revision=self._revision, files_metadata=True
        )
        with _hub_faults(self.description):
            info = waited(call, context, self.description)
        prefix = f"{self._path}/" if self._path else ""
        sizes = {one.rfilename: one.size or 0 for one in info.siblings or () if one.rfilename.startswith(prefix)}
        if not sizes:
            raise FetchFailedError(f"the repository has no directory {self._path!r}", where=self.description, fix=_FIX)
        return str(info.sha), {name.removeprefix(prefix): size for name, size in sorted(sizes.items())}


def _endpoint() -> str | None:
    """The Hub or a mirror of it, as of now; the Hub's client reads the variable when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _hub_faults(where: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into ours: what it answered by its status, everything else is the network."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        evidence = f"HTTP {status}"
        if status >= 500 or status in _TRANSIENT:
            raise TransientFetchError("the Hub cannot answer now", where=where, evidence=evidence) from error
        raise FetchFailedError("the Hub does not give it", where=where, evidence=evidence, fix=_FIX) from error
    except errors.HFValidationError as error:
        raise FetchFailedError("not a repository of the Hub", where=where, evidence=str(error), fix=_FIX) from error
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]  # of the HTTP client that it uses
        evidence = without_secrets(str(error)) or type(error).__name__
        raise TransientFetchError("the Hub cannot be reached", where=where, evidence=evidence) from error
