"""A Docker registry (Debian's docker-registry) with faults in front of it."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.faulty import CHUNK_BYTES, Fault, FaultyServer, Request, Response, serving
from tests.support.needs import missing

_CONFIG = """\
version: 0.1
log: {{level: info, formatter: text}}
storage: {{filesystem: {{rootdirectory: {storage}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
"""
# distribution/registry/api/errcode and v2/errors.go
_CODES = {
    401: ("UNAUTHORIZED", "authentication required"),
    403: ("DENIED", "requested access to the resource is denied"),
    404: ("MANIFEST_UNKNOWN", "manifest unknown"),
    429: ("TOOMANYREQUESTS", "too many requests"),
    503: ("UNAVAILABLE", "service unavailable"),
}
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


def random_image(size_bytes: int) -> bytes:
    """A tar to import as an image: one file of random bytes, which no compression makes smaller."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("random")
        entry.size = size_bytes
        archive.addfile(entry, io.BytesIO(os.urandom(size_bytes)))
    return content.getvalue()


class RegistryServer(FaultyServer):
    """Passes every request on to the registry behind it; `docker push` and `docker pull` use `address`."""

    def __init__(self, registry_port: int) -> None:
        super().__init__()
        self.registry_port = registry_port

    @property
    def address(self) -> str:
        """What an image reference begins with."""
        return f"127.0.0.1:{self.port}"

    def fail(self, **fault: Any) -> Fault:
        """Put this fault in front; a status comes with the body that registries give with it."""
        code, message = _CODES.get(fault.get("status", 0), ("UNKNOWN", "unknown error"))
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
        return super().fail(**{"body": body} | fault)

    def answer(self, request: Request) -> Response:
        """The registry's own answer. It sees our address as its host, so that it also points back here."""
        connection = http.client.HTTPConnection("127.0.0.1", self.registry_port, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        connection.request(request.method, request.path, request.body, headers)
        response = connection.getresponse()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
        if response.status in (204, 304) and not any(name.lower() == "content-length" for name, _ in kept):
            kept.append(("Content-Length", "0"))
        if request.method == "HEAD":  # nobody will ask for a body, and so nobody would close the connection
            connection.close()
            return Response(response.status, kept)
        return Response(response.status, kept, _body(connection, response))


def _body(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
    finally:
        connection.close()


@contextmanager
def registry(directory: Path) -> Iterator[RegistryServer]:
    """A registry that keeps its images in `directory`, ready to answer, until the block ends."""
    command = shutil.which("docker-registry")
    if command is None:
        missing("docker-registry is not installed")
    config = directory / "registry.yml"
    config.write_text(_CONFIG.format(storage=directory / "storage"))
    with (directory / "registry.log").open("w+") as log:
        process = subprocess.Popen([command, "serve", str(config)], stderr=subprocess.PIPE, stdout=log, text=True)
        try:
            with serving(RegistryServer(_port(process))) as server:
                yield server
        finally:
            process.terminate()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _port(process: subprocess.Popen[str]) -> int:
    """The registry's own port, which it tells in its log once it listens."""
    said = []
    for line in process.stderr or ():
        said.append(line)
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
            # Read on, or it stops in the middle of a request once the pipe is full.
            threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
            return int(found[1])
    raise RuntimeError("docker-registry ended: " + "".join(said[-5:]))
