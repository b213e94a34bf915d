"""The types of the YAML: frozen, validated once, and the source of the JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=1, le=65535)]
PortOrAuto = Port | Literal["auto"]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=63)]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_]+$")]
Version = Annotated[int, Field(ge=0, lt=2**63)]
RuntimeName = Literal["auto", "docker", "embedded", "native"]


class Frozen(BaseModel):
    """A value that is checked once and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GitSource(Frozen):
    """A directory in a git repository."""

    git: str = Field(min_length=1, description="Repository address: https, ssh, git or file.")
    ref: str = Field("HEAD", min_length=1, description="Branch, tag or full commit.")
    path: str = Field(".", description="The model's base path inside the repository.")


class ArchiveSource(Frozen):
    """A tar or zip archive over http or https."""

    archive: str = Field(pattern=r"^https?://", description="Address of a .tar, .tar.gz, .tar.xz, .tar.bz2 or .zip file.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the archive, lower-case hexadecimal.")
    path: str = Field(".", description="The model's base path inside the archive.")


class DirectorySource(Frozen):
    """A directory on this machine, served in place."""

    directory: str = Field(min_length=1, description="Base path; relative to the YAML file.")


class BundledSource(Frozen):
    """A model that ships with the package."""

    bundled: Literal["half_plus_two"] = Field(description="Name of the bundled model.")


Source = GitSource | ArchiveSource | DirectorySource | BundledSource


class Latest(Frozen):
    """Serve the N newest versions."""

    latest: int = Field(ge=1, description="How many of the newest versions to serve.")


VersionPolicy = Literal["latest", "all"] | Latest | tuple[Version, ...]


class Example(Frozen):
    """A request that `predict` sends when it is given no input."""

    instances: list[Any] | None = Field(None, description="Row format: one value per example.")
    inputs: Any = Field(None, description="Column format: one value per input tensor.")
    signature: str | None = Field(None, description="Signature name; default: serving_default.")

    @model_validator(mode="after")
    def _one_format(self) -> Example:
        if (self.instances is None) == (self.inputs is None):
            raise ValueError("exactly one of instances and inputs")
        return self


class Model(Frozen):
    """One model: where it comes from and which of its versions are served."""

    source: tuple[Source, ...] = Field(min_length=1, description="Tried in order; only an unreachable one moves on.")
    versions: VersionPolicy = Field("latest", description="latest, all, {latest: N}, or a list of version numbers.")
    labels: dict[Label, Version] = Field(default_factory=dict, description="Label to version number.")
    example: Example | None = Field(None, description="The request that predict sends without input.")


class Batching(Frozen):
    """TensorFlow Serving's batching parameters."""

    max_batch_size: int = Field(32, ge=1, description="Largest batch, in rows.")
    batch_timeout_micros: int = Field(1000, ge=0, description="Longest wait for a batch to fill, in microseconds.")
    max_enqueued_batches: int = Field(100, ge=1, description="Batches that may wait before requests are refused.")
    num_batch_threads: int = Field(2, ge=1, description="Batches computed at the same time.")
    allowed_batch_sizes: tuple[int, ...] | None = Field(None, description="Sizes that batches are padded to, ascending.")
    pad_variable_length_inputs: bool = Field(False, description="Pad inputs of different length in one batch.")


class Server(Frozen):
    """How the model server runs and what it may use."""

    image: str = Field("tensorflow/serving:2.20.0", min_length=1, description="Image of the docker runtime.")
    expose: bool = Field(False, description="Publish the ports on every interface instead of 127.0.0.1.")
    rest_port: PortOrAuto = Field(8501, description="REST port on this machine, or auto for any free one.")
    grpc_port: PortOrAuto = Field(8500, description="gRPC port on this machine, or auto for any free one.")
    ready_timeout_s: float = Field(60, gt=0, description="Seconds that every model has to become AVAILABLE.")
    stop_timeout_s: int = Field(10, ge=0, description="Seconds between SIGTERM and SIGKILL.")
    memory: str | None = Field(None, pattern=r"^[1-9][0-9]*[kmg]$", description="Memory limit, such as 512m or 2g.")
    cpus: float | None = Field(None, gt=0, description="CPU limit of the container, in cores.")
    pids: int = Field(512, ge=16, description="Limit on the container's processes and threads.")
    metrics: bool = Field(False, description="Serve Prometheus metrics at /monitoring/prometheus/metrics.")
    batching: Batching | None = Field(None, description="Batch requests; off unless given.")
    flags: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Further flags of tensorflow_model_server, without the dashes."
    )
    native_binary: str = Field("tensorflow_model_server", description="Command of the native runtime.")


class Config(Frozen):
    """The whole YAML."""

    project: Name = Field(description="Name under which the servers are labelled and found again.")
    workspace: str = Field("/tmp/tfserving", min_length=1, description="Directory that setup makes.")  # noqa: S108
    runtime: RuntimeName = Field("auto", description="What runs the server; auto takes docker where it can.")
    server: Server = Field(default_factory=Server, description="How the model server runs.")  # type: ignore[arg-type]
    models: dict[Name, Model] = Field(min_length=1, description="Model name to model.")
