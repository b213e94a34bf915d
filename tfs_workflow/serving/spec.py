"""The one pure description of what to serve; every runtime is built from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelSpec:
    """One model as the server sees it.

    `base_path` is on this machine; `latest` is the number of newest versions, 0 for all, and None when `versions`
    names them; `content` is the digest of the files that setup recorded, so that a changed model is another spec.
    """

    name: str
    base_path: Path
    latest: int | None = 1
    versions: tuple[int, ...] = ()
    labels: tuple[tuple[str, int], ...] = ()
    content: str = ""


@dataclass(frozen=True)
class ServerSpec:
    """What to serve and with which limits; a port of 0 means any free one."""

    project: str
    runtime: str
    models: tuple[ModelSpec, ...]
    image: str = ""
    binary: str = ""
    expose: bool = False
    rest_port: int = 8501
    grpc_port: int = 8500
    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int = 512
    metrics: bool = False
    batching: tuple[tuple[str, int | bool | tuple[int, ...]], ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    stop_timeout_s: int = 10

    @property
    def address(self) -> str:
        """The host address that the ports are published on."""
        return "0.0.0.0" if self.expose else "127.0.0.1"  # noqa: S104

    def digest(self) -> str:
        """Twelve hexadecimal digits that change with anything a running server would do differently."""
        return hashlib.sha256(json.dumps(asdict(self), default=str, sort_keys=True).encode()).hexdigest()[:12]
