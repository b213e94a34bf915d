"""The registry with faults in front of it does to a real `docker pull` what it promises."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.support.needs import missing
from tests.support.registry import RegistryServer, random_image

pytestmark = pytest.mark.docker
LAYER_BYTES = 300_000


def docker(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False, timeout=120)


@pytest.fixture
def reference(registry_server: RegistryServer) -> Iterator[str]:
    """A small image that lies in the registry and not in the engine."""
    if docker("info").returncode:
        missing("no Docker engine answers")
    name = f"{registry_server.address}/test-{uuid.uuid4().hex[:8]}:1"
    assert docker("import", "-", name, stdin=random_image(LAYER_BYTES)).returncode == 0
    try:
        pushed = docker("push", name)
        assert pushed.returncode == 0, pushed.stderr
    finally:
        docker("image", "rm", "--force", name)
    yield name
    docker("image", "rm", "--force", name)


def test_an_image_goes_in_and_comes_out(reference: str) -> None:
    pulled = docker("pull", "--quiet", reference)
    assert pulled.returncode == 0, pulled.stderr


@pytest.mark.parametrize(
    ("status", "said"), [(401, b"unauthorized"), (429, b"toomanyrequests"), (500, b"500"), (404, b"manifest unknown")]
)
def test_a_status_reaches_the_engine(reference: str, registry_server: RegistryServer, status: int, said: bytes) -> None:
    fault = registry_server.fail(path="manifests", status=status)
    pulled = docker("pull", reference)
    assert pulled.returncode != 0
    assert fault.met > 0
    assert said in pulled.stderr


@pytest.mark.slow
def test_a_layer_that_breaks_off_for_ever_fails_the_pull(reference: str, registry_server: RegistryServer) -> None:
    registry_server.fail(path="GET .*/blobs/", cut_after_bytes=100)
    assert docker("pull", reference).returncode != 0


@pytest.mark.slow
def test_a_layer_that_breaks_off_once_is_resumed(reference: str, registry_server: RegistryServer) -> None:
    fault = registry_server.fail(path="GET .*/blobs/", cut_after_bytes=LAYER_BYTES // 2, times=2)
    pulled = docker("pull", reference)
    assert pulled.returncode == 0, pulled.stderr
    assert fault.met == 2
