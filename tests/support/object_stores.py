"""Stores on loopback: moto's S3 server, gcp-storage-emulator, and a small fake of the Hugging Face Hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, unquote

import botocore.session
import requests

from tests.support.faulty import FaultyServer, Request, Response
from tests.support.modelserver.running import free_port
from tests.support.waiting import until

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class StoreFront(FaultyServer):
    """Hands every request on to a store, except where a fault is put in front of it."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self.upstream = upstream

    def put(self, bucket: str, files: Mapping[str, bytes | None]) -> None:
        """Make the bucket and its objects."""
        client = botocore.session.Session().create_client(
            "s3", "us-east-1", endpoint_url=self.upstream, aws_access_key_id="AKIA", aws_secret_access_key="x"
        )
        client.create_bucket(Bucket=bucket)
        for name, content in files.items():
            client.put_object(Bucket=bucket, Key=name, Body=content or b"")

    def answer(self, request: Request) -> Response:
        """The store's own answer."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"}
            url = self.upstream + request.path
            found = session.request(request.method, url, headers=headers, data=request.body, timeout=30)
        passed_on = [(k, v) for k, v in found.headers.items() if k.lower() not in {"connection", "date", "server"}]
        return Response(found.status_code, passed_on, [found.content])


class GoogleFront(StoreFront):
    """The same for Google Cloud Storage's JSON API."""

    def put(self, bucket: str, files: Mapping[str, bytes | None]) -> None:
        created = requests.post(f"{self.upstream}/storage/v1/b", json={"name": bucket}, timeout=10)
        assert created.status_code in (200, 409)  # 409: an earlier test created it
        for name, content in files.items():  # the emulator does not take empty ones
            url = f"{self.upstream}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
            if content:
                requests.post(url, data=content, timeout=10).raise_for_status()


class Hub(FaultyServer):
    """A fake of the Hub's HTTP protocol: one commit of one repository, its listing and its files, and no more."""

    def __init__(self, repository: str, files: Mapping[str, bytes | None]) -> None:
        super().__init__()
        self.repository = repository
        self.files = {name: content or b"" for name, content in files.items() if not name.endswith("/")}

    def answer(self, request: Request) -> Response:
        """The listing, a file, or 404."""
        path = unquote(request.path.partition("?")[0])
        if path == f"/api/models/{self.repository}/revision/main":
            siblings = [{"rfilename": name, "size": len(content)} for name, content in self.files.items()]
            return _answered(json.dumps({"id": self.repository, "sha": COMMIT, "siblings": siblings}).encode())
        name = path.removeprefix(f"/{self.repository}/resolve/{COMMIT}/")
        return _answered(self.files[name]) if name in self.files else _answered(b"{}", 404)


def _answered(content: bytes, status: int = 200) -> Response:
    kind = "application/json" if content.startswith(b"{") else "application/octet-stream"
    return Response(status, [("Content-Length", str(len(content))), ("Content-Type", kind)], [content])


@contextmanager
def s3_server() -> Iterator[str]:
    """moto's server; its address."""
    port = free_port()
    with _process("moto.server", "-H", "127.0.0.1", "-p", str(port)):
        yield _reached(f"http://127.0.0.1:{port}", "/")


@contextmanager
def google_server() -> Iterator[str]:
    """gcp-storage-emulator with its objects in memory; its address."""
    port = free_port()
    with _process("gcp_storage_emulator", "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory"):
        yield _reached(f"http://127.0.0.1:{port}", "/storage/v1/b")


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _reached(address: str, path: str) -> str:
    def answers() -> bool:
        try:
            return requests.get(address + path, timeout=5).status_code < 500
        except requests.ConnectionError:
            return False

    until(answers)
    return address
