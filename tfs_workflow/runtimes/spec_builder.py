"""Builds the server spec from the configuration and the record of setup.

The YAML has several spellings for one meaning; the spec has one. Sizes become bytes, policies become numbers, `auto`
becomes 0, and keys without meaning for the runtime are left out, so that changing such a key does not replace the
server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfs_workflow.config.types import Config, Latest, Model
from tfs_workflow.config.values import PortOrAuto
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.own_keys import own_flags
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

# TensorFlow Serving starts four threads a processor in each of its REST pool, load threads and gRPC pollers, and one in
# each of TensorFlow's two pools (main.cc, server.cc, direct_session.cc); the rest is for timers, batches and health.
THREADS_PER_PROCESSOR = 14
_OTHER_THREADS = 64
_LEAST_PIDS = 512
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def build_spec(  # noqa: PLR0913, PLR0917  # what setup found
    config: Config,
    runtime: str,
    base_paths: Mapping[str, Path],
    contents: Mapping[str, str],
    image_digest: str = "",
    models_dir: Path | None = None,
    *,
    processors: int = 0,
) -> ServerSpec:
    """The server spec of a configuration; `base_paths` and `contents` (digests of the files) are by model name.

    `models_dir` is the workspace's directory of fetched models; `processors` is the number of the machine that will
    serve, 0 where it is not known.
    """
    server = config.server
    kind = runtime_kind(runtime)
    return ServerSpec(
        project=config.project,
        runtime=runtime,
        models=tuple(_model(n, m, base_paths[n], contents.get(n, "")) for n, m in config.models.items()),
        image=server.image if kind.has_image else "",
        image_digest=image_digest if kind.has_image else "",
        binary=server.native_binary if kind.has_binary else "",
        expose=server.expose,
        rest_port=_port(server.rest_port),
        grpc_port=_port(server.grpc_port),
        memory_bytes=parse_size(server.memory) if server.memory else None,
        cpus=server.cpus,
        pids=server.pids if isinstance(server.pids, int) else fitting_pids(processors),
        # A process has nothing that would restart it.
        restart=server.restart if kind.is_container else "no",
        metrics=server.metrics,
        batching=tuple(server.batching.model_dump(exclude_none=True).items()) if server.batching else (),
        flags=tuple((name, _flag_text(value)) for name, value in (own_flags(config) | server.flags).items()),
        environment=tuple((name, _flag_text(value)) for name, value in sorted(server.environment.items())),
        stop_timeout_s=server.stop_timeout_s,
        models_dir=models_dir if kind.is_container else None,
    )


def wanted_versions(model: ModelSpec, present: Sequence[int]) -> list[int]:
    """The versions that must become AVAILABLE, ascending; `present` are the version numbers on disk.

    A number in `versions` that is not on disk is included, so that its absence is found (preflight.py).
    """
    if model.latest is None:
        return sorted(model.versions)
    return sorted(present)[-model.latest :] if model.latest else sorted(present)


def needed_pids(processors: int) -> int:
    """The processes and threads that TensorFlow Serving starts, at least, on a machine with so many processors."""
    return THREADS_PER_PROCESSOR * processors + _OTHER_THREADS


def fitting_pids(processors: int) -> int:
    """The limit for `pids: auto`; the least one where the number of processors is not known (0)."""
    return max(_LEAST_PIDS, needed_pids(processors) * 5 // 4)


def parse_size(text: str) -> int:
    """Bytes of a size such as 512m or 2g (binary units)."""
    number, unit = re.fullmatch(r"(\d+)([kmg])", text).groups()  # type: ignore[union-attr]  # checked by the types
    return int(number) * UNITS[unit]


def _model(name: str, model: Model, base_path: Path, content: str) -> ModelSpec:
    policy = model.versions
    latest: int | None = None
    if isinstance(policy, Latest):
        latest = policy.latest
    elif isinstance(policy, str):
        latest = 1 if policy == "latest" else 0
    return ModelSpec(
        name,
        base_path,
        latest,
        tuple(policy) if isinstance(policy, tuple) else (),
        # Sorted, so that the order in the YAML makes no other spec.
        labels=tuple(sorted(model.labels.items())),
        content=content,
        flat_version=model.version,
        links=tuple(_links(base_path)),
    )


def _links(base_path: Path) -> Iterator[tuple[str, Path]]:
    """The version directories that are links: a container does not see what they lead to."""
    entries = sorted(base_path.iterdir()) if base_path.is_dir() else []
    for entry in entries:
        if entry.name.isdigit() and entry.is_symlink() and entry.is_dir():
            yield entry.name, entry.resolve()


def _port(port: PortOrAuto) -> int:
    return 0 if isinstance(port, str) else port


def _flag_text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
