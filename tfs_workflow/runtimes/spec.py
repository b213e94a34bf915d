"""The one pure description of what to serve; every runtime is built from it.

A running server is compared with the YAML by a digest of this description. The digest covers what only another server
can have: an additional field in it would replace every running server once. Models, versions and labels are left out,
since a running server takes them by a reload of its configuration file (docs/decisions/0017-reload.md). The functions
are pure, so that the generated files and flags are tested as text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tfs_workflow.formats.savedmodel import served_tags
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.ports import is_free
from tfs_workflow.state.atomic_file import write_errors, write_whole

METRICS_PATH = "/monitoring/prometheus/metrics"
# The file that a reload writes again.
MODEL_CONFIG = "models.config"
# With these, the file is not ours, the server does not look at base paths again, or its gRPC port takes TLS only.
_NO_RELOAD = ("model_config_file", "file_system_poll_wait_seconds", "ssl_config_file")


@dataclass(frozen=True)
class ModelSpec:
    """One model as the server sees it.

    `base_path` is on this machine; `latest` is the number of newest versions, 0 for all, and None when `versions`
    names them; `content` is the digest of the files that setup recorded, so that a changed model is another spec.
    A SavedModel in the base path itself counts as `flat_version`. `links` are version directories that lie elsewhere:
    name in the base path, and place.
    """

    name: str
    base_path: Path
    latest: int | None = 1
    versions: tuple[int, ...] = ()
    labels: tuple[tuple[str, int], ...] = ()
    content: str = ""
    flat_version: int = 1
    links: tuple[tuple[str, Path], ...] = ()


@dataclass(frozen=True)
class ServerSpec:
    """What to serve and with which limits; a port of 0 means any free one.

    `models_dir` is the workspace's directory of models, which a container mounts whole; None where there is no
    container.
    """

    project: str
    runtime: str
    models: tuple[ModelSpec, ...]
    image: str = ""
    image_digest: str = ""
    binary: str = ""
    # The release of TensorFlow that an embedded server loads.
    tensorflow: str = ""
    expose: bool = False
    rest_port: int = 8501
    grpc_port: int = 8500
    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int = 512
    restart: str = "no"
    metrics: bool = False
    batching: tuple[tuple[str, int | bool | tuple[int, ...]], ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    stop_timeout_s: int = 10
    models_dir: Path | None = None
    # The ports of the server that this one replaces, for ports that may be any; they make no other spec.
    kept_ports: tuple[int, int] = (0, 0)

    @property
    def address(self) -> str:
        """The host address that the ports are published on."""
        return "0.0.0.0" if self.expose else "127.0.0.1"  # noqa: S104  # only with server.expose

    @property
    def prefers_tflite(self) -> bool:
        """Whether the server takes a version's TensorFlow Lite model where it has one; our own server cannot."""
        is_set = dict(self.flags).get("prefer_tflite_model", "").lower() in ("true", "1")
        return is_set and not runtime_kind(self.runtime).own_code

    @property
    def tags(self) -> frozenset[str]:
        """The tags of the graph that the server loads of each model."""
        return served_tags(dict(self.flags))

    def digest(self) -> str:
        """Twelve hexadecimal digits that change with anything that needs another server.

        `kept_ports` is left out, since it concerns where a server listens, not what it does. Of the models only the
        mounts of their own count, which a container cannot get later.
        """
        # As sorted JSON: the digest must not depend on the order of fields or on Python's version.
        values = asdict(self)
        del values["kept_ports"]
        values["models"] = [(m.name, m.base_path, m.links) for m in self.models if self.has_own_mount(m)]
        return hashlib.sha256(json.dumps(values, default=str, sort_keys=True).encode()).hexdigest()[:12]

    def has_own_mount(self, model: ModelSpec) -> bool:
        """Whether a container must mount the model by itself: it, or a version of it, lies outside `models_dir`."""
        if self.models_dir is None:
            return False
        return bool(model.links) or model.base_path != self.models_dir / model.name

    @property
    def can_reload(self) -> bool:
        """Whether its flags leave the models to the configuration file that a reload changes."""
        return not any(name in _NO_RELOAD for name, _ in self.flags)

    @property
    def can_switch(self) -> bool:
        """Whether its running server takes other flags with another engine, beside the one that serves."""
        return runtime_kind(self.runtime).own_code and dict(self.flags).get("fronts") != "0"

    def ports(self) -> tuple[int, int]:
        """The REST and the gRPC port to listen on; 0 is any free one. A kept port is taken where it is free."""
        wanted = (self.rest_port, self.grpc_port)
        pairs = zip(wanted, self.kept_ports, strict=True)
        rest, grpc = (port or (kept if kept and is_free(kept, self.address) else 0) for port, kept in pairs)
        return rest, grpc


def server_files(spec: ServerSpec, base_path: Callable[[ModelSpec], str]) -> dict[str, str]:
    """The text of every file that the server's flags name, by file name.

    `base_path` maps a model to the path that the server sees.
    """
    files = {MODEL_CONFIG: model_config(spec.models, base_path)}
    if spec.batching:
        files["batching.config"] = "".join(_batching_lines(dict(spec.batching)))
    if spec.metrics:
        files["monitoring.config"] = f"prometheus_config {{ enable: true path: {json.dumps(METRICS_PATH)} }}\n"
    return files


def write_config_files(directory: Path, files: Mapping[str, str]) -> None:
    """Make the directory hold exactly these files; each appears whole. ConfigError on a full disk."""
    with write_errors(directory):
        for name, text in files.items():
            write_whole(directory / name, text)
        # A file of an earlier configuration, such as one for batching, must not seem to be in use.
        for path in directory.iterdir():
            if path.name not in files:
                path.unlink()


@contextmanager
def restored_config_files(directory: Path) -> Iterator[None]:
    """Put the configuration files back as they were if the block raises: a server that is restarted reads them."""
    files = {path.name: path.read_text() for path in directory.iterdir()} if directory.is_dir() else {}
    try:
        yield
    except BaseException:
        write_config_files(directory, files)
        raise


def server_flags(spec: ServerSpec, config_dir: str, rest_port: int, grpc_port: int) -> list[str]:
    """The server's command line without its command; a flag that the user gave takes the place of ours.

    `config_dir` is the directory as the server sees it; ports are numbers above 0. The order is stable.
    """
    flags: dict[str, str] = {
        "port": str(grpc_port),
        "rest_api_port": str(rest_port),
        "model_config_file": f"{config_dir}/{MODEL_CONFIG}",
        # A model that cannot be loaded ends the start at once instead of 5 retries of 60 s each.
        "max_num_load_retries": "0",
        # Without it TFS refuses labels in its first configuration, even on versions that are there (#1413, #1608). Also
        # where there is no label yet: one that a reload brings must not end the server's next restart.
        "allow_version_labels_for_unavailable_models": "true",
    }
    if spec.batching:
        flags |= {"enable_batching": "true", "batching_parameters_file": f"{config_dir}/batching.config"}
    if spec.metrics:
        flags["monitoring_config_file"] = f"{config_dir}/monitoring.config"
    return [f"--{name}={value}" for name, value in (flags | dict(spec.flags)).items()]


def model_config(models: Iterable[ModelSpec], base_path: Callable[[ModelSpec], str]) -> str:
    """A ModelServerConfig in text form (model_server_config.proto)."""
    configs = "".join(f"  config {{\n{''.join(_config_lines(m, base_path(m)))}  }}\n" for m in models)
    return f"model_config_list {{\n{configs}}}\n"


def _config_lines(model: ModelSpec, base_path: str) -> Iterator[str]:
    yield f"    name: {_text(model.name)}\n"
    yield f"    base_path: {_text(base_path)}\n"
    yield '    model_platform: "tensorflow"\n'
    if model.latest is None:
        chosen = " ".join(f"versions: {version}" for version in model.versions)
        yield f"    model_version_policy {{ specific {{ {chosen} }} }}\n"
    elif model.latest == 0:
        yield "    model_version_policy { all {} }\n"
    # The newest one alone is TensorFlow Serving's default and is not written.
    elif model.latest > 1:
        yield f"    model_version_policy {{ latest {{ num_versions: {model.latest} }} }}\n"
    for label, version in model.labels:
        yield f"    version_labels {{ key: {_text(label)} value: {version} }}\n"


def _batching_lines(parameters: Mapping[str, int | bool | tuple[int, ...]]) -> Iterator[str]:
    """BatchingParameters in text form (session_bundle_config.proto): wrapped scalars, plain repeated fields."""
    for name, value in parameters.items():
        if isinstance(value, tuple):
            yield from (f"{name}: {size}\n" for size in value)
        elif isinstance(value, bool):
            yield f"{name}: {str(value).lower()}\n"
        else:
            yield f"{name} {{ value: {value} }}\n"


def _text(value: str) -> str:
    """A text-format string literal; JSON's escapes are a subset for what names and paths hold."""
    return json.dumps(value, ensure_ascii=False)
