"""Copies models and configuration into a volume on an engine that cannot mount this machine's directories.

An engine elsewhere resolves bind mounts on its own machine: the server would see empty directories and wait for ever
(TensorFlow Serving's issue 2004). The engine's API can copy an archive into a container, also into one that was never
started, and a volume mounted there keeps the files. So a carrier container exists while the volume is filled
(docs/decisions/0010-an-engine-elsewhere.md).

The volume's name ends with a random number, so that a replaced server and its successor never share one.
"""

from __future__ import annotations

import io
import secrets
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Mount

from tfs_workflow.runtimes.docker import container
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.state.atomic_file import write_errors

# An archive above this lies on the disk while it is sent.
_IN_MEMORY_BYTES = 64 << 20


def host_of(address: str) -> str:
    """Where the ports of an engine at a tcp, http or https address are."""
    return urlsplit(address).hostname or ""


@contextmanager
def filled_volume(client: Any, spec: ServerSpec, labels: Mapping[str, str], files: Mapping[str, str]) -> Iterator[str]:
    """A labelled volume that holds every model and the configuration, for a container created in the block; its name.

    It is never without a container with the label, so that a killed run's is found. Nothing is left on failure.
    """
    name = f"{container.container_name(spec.project)}-{secrets.token_hex(6)}"
    mount = Mount(container.MODELS_DIR, name, type="volume", labels=dict(labels))
    # Never started: it only receives the files.
    carrier = client.containers.create(spec.image, labels=dict(labels), network_disabled=True, mounts=[mount])
    try:
        _fill(carrier, spec, files)
        yield name
    except BaseException:
        carrier.remove(force=True)
        # After the carrier: a volume in use cannot be removed.
        remove_volume(client, name)
        raise
    carrier.remove(force=True)


def remove_volumes(found: Container) -> None:
    """Remove the volumes that were created for a container that is gone."""
    for mount in found.attrs.get("Mounts") or ():
        if mount["Type"] == "volume" and str(mount.get("Name", "")).startswith(container.PREFIX):
            remove_volume(found.client, mount["Name"])


def remove_volume(client: Any, name: str) -> None:
    """Remove a volume, unless it is gone, or its container's successor has it already.

    No error is raised: the container is gone, which is what the caller needed.
    """
    with suppress(NotFound, APIError):
        client.volumes.get(name).remove(force=True)


def _fill(carrier: Container, spec: ServerSpec, files: Mapping[str, str]) -> None:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as archive:
        with write_errors(Path(tempfile.gettempdir())):
            _write_archive(archive, spec, files)
        archive.seek(0)
        carrier.put_archive(container.MODELS_DIR, archive)


def _write_archive(archive: IO[bytes], spec: ServerSpec, files: Mapping[str, str]) -> None:
    """Models with what their links lead to, and the configuration."""
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for model in spec.models:
            tar.add(model.base_path.resolve(), model.name, filter=_for_everyone)
        directory = Path(container.VOLUME_CONFIG_DIR).name
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{directory}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _for_everyone(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make an entry readable for the server's user, which is not the one that runs this."""
    entry.mode = 0o755 if entry.isdir() else 0o644
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
