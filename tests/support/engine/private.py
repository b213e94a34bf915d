"""A second Docker engine on a small disk of its own, to be stopped, killed and filled; the machine's is not touched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import docker

from tests.support.waiting import until

DISK_BYTES = 4 << 30
END_S = 30


class PrivateEngine:
    """A dockerd with its own root, socket, bridge and loop-mounted disk; only root can start one.

    `also_listening` is a second address, and `hidden` a directory that it sees empty, as on another machine.
    It sets no rules of iptables, so that it cannot disturb the machine's own engine; ports are published by its proxy.
    """

    def __init__(self, directory: Path, bridge: str) -> None:
        self.directory = directory
        self.bridge = bridge
        self.data = directory / "data"
        self.socket = directory / "docker.sock"
        self.also_listening = ""
        self.hidden: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """What DOCKER_HOST is set to."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it and return once it answers."""
        command = ["dockerd", f"--host={self.host}", f"--data-root={self.data}", f"--bridge={self.bridge}"]
        command += [f"--exec-root={self.directory}/exec", f"--pidfile={self.directory}/docker.pid"]
        command += [f"--host={self.also_listening}"] if self.also_listening else []
        if self.hidden is None:
            command += [f"--containerd={self._containerd_socket()}"]
        else:  # dockerd starts its own containerd, which has to see what it sees
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", hide, str(self.hidden), *command]
        command += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        with (self.directory / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until(self._answers)

    def stop(self) -> None:
        """As `systemctl stop docker` would: with its containers."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Without a last word; its containers go on until it is started again."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """A connection of ours, closed at the end of the block."""
        with closing(docker.DockerClient(base_url=self.host)) as client:
            yield client

    def load(self, image: str) -> None:
        """Bring an image over from the machine's engine."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
            subprocess.run(["docker", f"--host={self.host}", "load", "--quiet"], stdin=save.stdout, check=True)

    @contextmanager
    def without_space(self) -> Iterator[None]:
        """Its disk is full for the block."""
        filler = self.data / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                for chunk_bytes in (1 << 26, 1 << 20, 1 << 12, 1 << 12):  # the file system keeps some back until synced
                    with suppress(OSError):
                        while True:
                            file.write(bytes(chunk_bytes))
                    os.fsync(file.fileno())
            yield
        finally:
            filler.unlink()

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"dockerd ended: {(self.directory / 'dockerd.log').read_text()[-2000:]}")
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(END_S)
            connection.connect(str(self.socket))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(END_S)
            self._process = None

    def end(self) -> None:
        """Remove its containers, and leave no process of it."""
        if self._process is not None:
            with suppress(docker.errors.DockerException), self.client() as client:
                for container in client.containers.list(all=True):
                    container.remove(force=True)
            self.stop()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(END_S)

    def _containerd_socket(self) -> Path:
        """Its own, as Debian's docker has: it goes on when dockerd is killed."""
        address = self.directory / "containerd.sock"
        if self._containerd is None:
            command = ["containerd", "--config=/dev/null", f"--address={address}", f"--root={self.data}/containerd"]
            command += [f"--state={self.directory}/containerd"]
            with (self.directory / "containerd.log").open("ab") as log:
                self._containerd = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            until(address.exists)
        return address


@contextmanager
def private_engine(image: str) -> Iterator[PrivateEngine]:
    """An engine that has the image, until the block ends."""
    with ExitStack() as stack:
        # A short path, since the path of a socket has at most 107 bytes.
        directory = tempfile.TemporaryDirectory(prefix="tfs-", ignore_cleanup_errors=True)
        engine = PrivateEngine(Path(stack.enter_context(directory)), f"tfs{os.getpid()}")
        engine.data.mkdir()
        disk = engine.directory / "disk"
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(disk))
        _run("mount", "-o", "loop", str(disk), str(engine.data))
        stack.callback(_run, "umount", "--lazy", str(engine.data))
        _run("ip", "link", "add", "name", engine.bridge, "type", "bridge")
        stack.callback(_run, "ip", "link", "delete", engine.bridge)
        _run("ip", "address", "add", f"172.30.{os.getpid() % 250}.1/24", "dev", engine.bridge)
        _run("ip", "link", "set", engine.bridge, "up")
        stack.callback(engine.end)
        engine.start()
        engine.load(image)
        yield engine


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
