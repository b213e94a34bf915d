"""A real nginx in front, with the lines that its documentation gives for websockets."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.modelserver.http.test_http import ANSWER, BODY
from tests.support.modelserver.chaos import listens
from tests.support.modelserver.running import Running, free_port
from tests.support.needs import missing
from tests.support.waiting import until

PATH = "/v1/models/half_plus_two:predict"
OFFERS = {
    "none": {},
    "h2c": {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"},
    "websocket": {"Connection": "Upgrade", "Upgrade": "websocket"},
}
CONFIG = """
daemon off;
master_process off;
pid {directory}/pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream models {{ server 127.0.0.1:{upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://models;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
  }}
}}
"""


class Proxy(NamedTuple):
    """An nginx, in one process."""

    port: int
    pid: int

    def kept_towards(self, port: int) -> set[int]:
        """Its own ports of the connections that it holds to this one."""
        held = [(one.laddr, one.raddr) for one in psutil.Process(self.pid).net_connections("tcp4")]
        return {own.port for own, other in held if own and other and other.port == port}


@contextmanager
def nginx_before(upstream: int, directory: Path) -> Iterator[Proxy]:
    """An nginx that passes everything on to this port."""
    # Debian has it where only root looks.
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx") or missing("nginx is not here")
    port = free_port()
    (directory / "nginx.conf").write_text(CONFIG.format(directory=directory, upstream=upstream, port=port))
    command = [program, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]
    process = subprocess.Popen(command)
    try:
        until(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, (directory / "error.log").read_text()
        yield Proxy(port, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def proxy(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with nginx_before(server.rest_port, tmp_path_factory.mktemp("nginx")) as running:
        yield running


def posted(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[int, object]:
    connection.request("POST", PATH, body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("offer", OFFERS)
def test_posts_through_it_are_answered_on_kept_connections(server: Running, proxy: Proxy, offer: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    connection.connect()
    socket = connection.sock
    seen: set[int] = set()
    for _ in range(5):
        assert posted(connection, BODY, OFFERS[offer]) == (200, ANSWER)
        assert connection.sock is socket, "nginx closed the connection"
        seen |= proxy.kept_towards(server.rest_port)
    connection.close()
    assert len(seen) == 1, "the server closed the connection to nginx"


def test_a_large_body_comes_through_as_well(proxy: Proxy) -> None:
    """It comes in several pieces, behind a head with the offer."""
    values = [float(i) for i in range(100_000)]
    body = json.dumps({"instances": values}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    for _ in range(2):
        expected = {"predictions": [value / 2 + 2 for value in values]}
        assert posted(connection, body, OFFERS["h2c"]) == (200, expected)
        assert posted(connection, BODY, {}) == (200, ANSWER)
    connection.close()
