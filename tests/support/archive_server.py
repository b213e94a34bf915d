"""A web server for archives, with faults in front of it."""

from __future__ import annotations

import hashlib

from tests.support.faulty import CHUNK_BYTES, FaultyServer, Request, Response


class ArchiveServer(FaultyServer):
    """Gives what was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.extra_headers: list[tuple[str, str]] = []

    def put(self, name: str, content: bytes) -> tuple[str, str]:
        """Serve the content; its address and sha256."""
        self.files[f"/{name}"] = content
        return f"{self.url}/{name}", hashlib.sha256(content).hexdigest()

    def answer(self, request: Request) -> Response:
        """The file, or 404."""
        content = self.files.get(request.path.partition("?")[0])
        if content is None:
            return Response(404, [("Content-Length", "0")])
        chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
        return Response(200, [("Content-Length", str(len(content))), *self.extra_headers], chunks)
