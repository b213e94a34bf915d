"""The types of the YAML: frozen, validated once, and the source of the JSON Schema.

Every rule about a value is stated here once, as a type, a bound or a validator. The schema, the reference of keys and
the messages are made from it. Values are frozen and strict: nothing changes a configuration after it was read, and a
number in quotes is not taken for a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from tfs_workflow.config import values as value
from tfs_workflow.config.problems import EXPECTED, refusal
from tfs_workflow.config.source_types import (
    ArchiveSource,
    BundledSource,
    DirectorySource,
    Frozen,
    GitSource,
    Source,
    Sources,
    StoreSource,
)

__all__ = [
    "ArchiveSource",
    "BundledSource",
    "Config",
    "DirectorySource",
    "Frozen",
    "GitSource",
    "Latest",
    "Model",
    "Slo",
    "Source",
    "StoreSource",
]


class Latest(Frozen):
    """Serve the N newest versions."""

    latest: int = Field(ge=1, description="How many of the newest versions to serve.")


def _policy_kind(policy: Any) -> str | None:
    if isinstance(policy, str):
        return "policy name" if policy in ("latest", "all") else None
    if isinstance(policy, (dict, Latest)):
        return "policy mapping"
    return "policy list" if isinstance(policy, (list, tuple)) and policy else None


VersionPolicy = Annotated[
    Annotated[Literal["latest", "all"], Tag("policy name")]
    | Annotated[Latest, Tag("policy mapping")]
    | Annotated[tuple[value.Version, ...], Field(strict=False), Tag("policy list")],
    Discriminator(
        _policy_kind,
        custom_error_type=EXPECTED,
        custom_error_message="latest, all, a mapping such as latest: 2, or a list of versions such as [123]",
    ),
]


class Example(Frozen):
    """A request that `predict` sends when it is given no input."""

    instances: list[Any] | None = Field(default=None, description="Row format: one value per example.")
    inputs: Any = Field(default=None, description="Column format: one value per input tensor.")
    signature: str | None = Field(default=None, description="Signature name; default: serving_default.")

    @model_validator(mode="after")
    def _one_format(self) -> Example:
        if (self.instances is None) == (self.inputs is None):
            raise refusal([((), "expected exactly one of instances and inputs")])
        return self


class Bounds(Frozen):
    """How far a number may be from the recorded one: absolute + relative * |recorded|."""

    relative: float = Field(default=1e-5, ge=0, allow_inf_nan=False, description="Share of the recorded number.")
    absolute: float = Field(default=1e-6, ge=0, allow_inf_nan=False, description="Distance, whatever the number.")


class Tolerance(Bounds):
    """The bounds for every output, and other ones by output name."""

    outputs: dict[str, Bounds] = Field(default_factory=dict, description="Output name to the bounds of that output.")

    def of(self, output: str) -> Bounds:
        """The bounds of an output."""
        return self.outputs.get(output, self)


class Slo(Frozen):
    """How fast a model must answer; a latency says nothing without the load that it is for."""

    p99_ms: float = Field(gt=0, allow_inf_nan=False, description="Longest latency of 99 % of the requests, in ms.")
    rate: float = Field(gt=0, allow_inf_nan=False, description="Requests per second at which that must hold.")


class Model(Frozen):
    """One model: where it comes from and which of its versions are served."""

    source: Sources = Field(description="One source, or a list tried in order; only an unreachable one moves on.")
    versions: VersionPolicy = Field(
        default="latest", description="latest, all, {latest: N}, or a list of version numbers."
    )
    version: value.Version = Field(
        default=1, description="The version that a SavedModel without version directories counts as."
    )
    labels: dict[value.Label, value.Version] = Field(default_factory=dict, description="Label to version number.")
    smoke: bool = Field(default=True, description="Whether serve sends the model one request when it is loaded.")
    example: Example | None = Field(default=None, description="The request that predict sends without input.")
    warmup: bool = Field(
        default=False, description="Whether setup writes requests with which the server warms the model up."
    )
    golden: str | None = Field(
        default=None,
        min_length=1,
        description="JSON lines of requests and responses for verify; a path from this YAML.",
    )
    tolerance: Tolerance = Field(
        default_factory=Tolerance, description="How far from golden's numbers verify lets numbers be."
    )
    slo: Slo | None = Field(default=None, description="How fast the model must answer, which bench judges.")

    @field_validator("versions")
    @classmethod
    def _different(cls, versions: Any) -> Any:
        if isinstance(versions, tuple) and len(set(versions)) < len(versions):
            twice = sorted({version for version in versions if versions.count(version) > 1})
            raise refusal([((), f"expected each version once, got {', '.join(map(str, twice))} twice")])
        return versions

    @field_validator("labels")
    @classmethod
    def _served(cls, labels: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        versions = info.data.get("versions")
        strays = [(k, v) for k, v in labels.items() if isinstance(versions, tuple) and v not in versions]
        if strays:
            listed = ", ".join(map(str, versions or ()))
            raise refusal([((k,), f"expected one of the listed versions ({listed}), got {v}") for k, v in strays])
        return labels


class Batching(Frozen):
    """TensorFlow Serving's batching parameters."""

    max_batch_size: int = Field(default=32, ge=1, description="Largest batch, in rows.")
    batch_timeout_micros: int = Field(
        default=1000, ge=0, description="Longest wait for a batch to fill, in microseconds."
    )
    max_enqueued_batches: int = Field(
        default=100, ge=1, description="Batches that may wait before requests are refused."
    )
    num_batch_threads: int = Field(default=2, ge=1, description="Batches computed at the same time.")
    allowed_batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...] | None, Field(strict=False)] = Field(
        default=None, description="Sizes that batches are padded to, ascending; the last is max_batch_size."
    )
    pad_variable_length_inputs: bool = Field(default=False, description="Pad inputs of different length in one batch.")

    @field_validator("allowed_batch_sizes")
    @classmethod
    def _ascending(cls, sizes: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        """TensorFlow Serving refuses anything else when it loads the first model (batching_session.cc)."""
        largest = info.data.get("max_batch_size")
        if sizes is not None and list(sizes) != sorted(set(sizes)):
            raise refusal([((), f"expected ascending sizes, got {list(sizes)}")])
        if sizes is not None and largest and sizes[-1:] != (largest,):
            raise refusal([((), f"expected the last size to be max_batch_size ({largest}), got {list(sizes)}")])
        return sizes


class Tls(Frozen):
    """The server's certificate, for REST and gRPC; the files are read again when they change."""

    certificate: str = Field(min_length=1, description="PEM file with the certificate chain; a path from this YAML.")
    key: str = Field(min_length=1, description="PEM file with its key, which other users must not read.")


class Server(Frozen):
    """How the model server runs and what it may use."""

    image: value.ImageReference = Field(default="tensorflow/serving:2.20.0", description="Image of the docker runtime.")
    expose: bool = Field(default=False, description="Publish the ports on every interface instead of 127.0.0.1.")
    rest_port: value.PortOrAuto = Field(
        default=8501, description="REST port on this machine, or auto for any free one."
    )
    grpc_port: value.PortOrAuto = Field(
        default=8500, description="gRPC port on this machine, or auto for any free one."
    )
    ready_timeout_s: float = Field(
        default=60, gt=0, allow_inf_nan=False, description="Seconds that every model has to become AVAILABLE."
    )
    stop_timeout_s: int = Field(default=10, ge=0, description="Seconds between SIGTERM and SIGKILL.")
    memory: value.MemorySize | None = Field(
        default=None, description="Memory limit of the container, such as 512m or 2g."
    )
    cpus: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="CPU limit of the container, in cores."
    )
    pids: value.LimitOrAuto = Field(
        default="auto",
        description="Limit on the container's processes and threads; auto fits it to the engine's processors.",
    )
    restart: value.Restart = Field(
        default="on-failure",
        description="on-failure: the engine restarts a container that died, at most 5 times; or no.",
    )
    metrics: bool = Field(default=False, description="Serve Prometheus metrics at /monitoring/prometheus/metrics.")
    batching: Batching | None = Field(default=None, description="Batch requests; off unless given.")
    flags: dict[value.FlagName, value.FlagValue] = Field(
        default_factory=dict, description="Further flags of tensorflow_model_server, without the dashes."
    )
    environment: dict[value.VariableName, value.FlagValue] = Field(
        default_factory=dict, description="Environment variables of the server, such as TF_ENABLE_ONEDNN_OPTS: 0."
    )
    tls: Tls | None = Field(default=None, description="REST and gRPC over TLS; the embedded server alone has it.")
    token_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the bearer token that requests must have; the embedded server alone asks for one.",
    )
    fronts: value.Fronts = Field(
        default="auto",
        description="Processes of the embedded server that hold connections; 0: one process in all; auto: its default.",
    )
    native_binary: str = Field(
        default="tensorflow_model_server", min_length=1, description="Command of the native runtime."
    )

    @property
    def own_keys(self) -> list[str]:
        """The keys given here that only the embedded server understands."""
        given = {"tls": self.tls, "token_file": self.token_file, "fronts": self.fronts != "auto"}
        return [f"server.{key}" for key, value in given.items() if value]

    @field_validator("tls")
    @classmethod
    def _one_certificate(cls, tls: Tls | None, info: ValidationInfo) -> Tls | None:
        if tls and "ssl_config_file" in info.data.get("flags", {}):
            raise refusal([((), "has a certificate for gRPC, too; expected it or server.flags.ssl_config_file")])
        return tls

    @field_validator("grpc_port")
    @classmethod
    def _two_ports(cls, grpc_port: int | str, info: ValidationInfo) -> int | str:
        if grpc_port != "auto" and grpc_port == info.data.get("rest_port"):
            raise refusal([((), f"expected another port than server.rest_port, got {grpc_port} for both")])
        return grpc_port


class Config(Frozen):
    """The whole YAML."""

    project: value.Name = Field(
        default="", description="Name under which the servers are labelled and found again; default: the directory's."
    )
    workspace: str = Field(default=".tfs", min_length=1, description="Directory that setup makes, beside this file.")
    runtime: value.RuntimeName = Field(
        default="auto", description="What runs the server; auto takes docker where it can."
    )
    server: Server = Field(default_factory=Server, description="How the model server runs.")
    models: dict[value.Name, Model] = Field(min_length=1, description="Model name to model.")
