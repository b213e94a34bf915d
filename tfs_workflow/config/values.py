"""Validated single values in the YAML: ports, names, labels, versions, flags, paths, each with a phrase for errors.

Names of projects and models become parts of paths, of container names and of labels, so their characters are limited to
what all of these accept. Addresses and refs become arguments of git: none may begin with a dash.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tfs_workflow.config.problems import expected, refusal

Port = Annotated[int, Field(ge=1, le=65535)]
PortOrAuto = Annotated[Port | Literal["auto"], expected("a port (1-65535) or 'auto'")]
# The least that a server starts with at all.
LimitOrAuto = Annotated[Annotated[int, Field(ge=16)] | Literal["auto"], expected("a number of at least 16 or 'auto'")]
Name = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=63),
    expected("a name of at most 63 letters, digits, '_', '.' and '-' that starts with a letter or digit"),
]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_]+$"), expected("a label of letters, digits and '_'")]
# A version is an int64 in TensorFlow Serving (model.proto).
Version = Annotated[int, Field(ge=0, lt=2**63), expected("a version number (0 or above)")]
Fronts = Annotated[Annotated[int, Field(ge=0, le=64)] | Literal["auto"], expected("a number (0-64) or 'auto'")]
RuntimeName = Literal["auto", "docker", "embedded", "native"]
# YAML 1.1 reads a bare `no` as false.
Restart = Annotated[
    Literal["no", "on-failure"],
    BeforeValidator(lambda given: "no" if given is False else given),
    expected("no or on-failure"),
]
# What the tool writes into the server's command line itself, and the key that says it.
OWN_FLAGS = {
    "port": "server.grpc_port",
    "rest_api_port": "server.rest_port",
    "model_name": "models",
    "model_base_path": "models",
    "model_config_file": "models",
    "enable_batching": "server.batching",
    "batching_parameters_file": "server.batching",
    "monitoring_config_file": "server.metrics",
    # The embedded server's own.
    "bind_address": "server.expose",
    "fronts": "server.fronts",
    "tls_certificate_file": "server.tls",
    "tls_key_file": "server.tls",
    "token_file": "server.token_file",
}


def _not_ours(flag: str) -> str:
    if flag in OWN_FLAGS:
        raise refusal([((), f"set by this tool; use the key {OWN_FLAGS[flag]}")])
    return flag


FlagName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$"),
    expected("a flag's name without dashes, such as num_load_threads"),
    AfterValidator(_not_ours),
]
# Variables that have no effect here, since a flag of ours takes their place, and those that we set ourselves.
OWN_VARIABLES = {"MODEL_NAME": "models", "MODEL_BASE_PATH": "models"}
OWN_VARIABLE_PREFIX = "TFS_WORKFLOW_"


def _not_our_variable(name: str) -> str:
    if name in OWN_VARIABLES:
        raise refusal([((), f"has no effect here; use the key {OWN_VARIABLES[name]}")])
    if name.startswith(OWN_VARIABLE_PREFIX):
        raise refusal([((), "set by this tool; it marks the project's servers")])
    return name


VariableName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
    expected("the name of an environment variable, such as TF_ENABLE_ONEDNN_OPTS"),
    AfterValidator(_not_our_variable),
]
FlagValue = Annotated[str | int | float | bool, expected("text, a number, or true or false")]


def _inside(path: str) -> str:
    if path.startswith(("/", "-")) or ".." in path.split("/"):
        raise ValueError(path)
    return path


InnerPath = Annotated[str, Field(min_length=1), AfterValidator(_inside), expected("a relative path without '..'")]
GitUrl = Annotated[
    str,
    # No option (-…), and none of git's helper transports (ext::…), which run commands.
    Field(pattern=r"^[^-\s:][^\s:]*(:[^:\s]\S*)?$"),
    expected("a repository address (https, ssh, git or file)"),
]
GitRef = Annotated[str, Field(pattern=r"^[^-\s]\S*$"), expected("a branch, tag or commit")]
ArchiveAddress = Annotated[
    str,
    # A path has no colon, so that an address of another protocol is not taken for one.
    Field(pattern=r"^(https?://\S+|[^:]+\.(tar|tar\.gz|tgz|tar\.xz|tar\.bz2|zip))$"),
    expected("an http or https address, or a path of a .tar, .tar.gz, .tgz, .tar.xz, .tar.bz2 or .zip file"),
]
StoreAddress = Annotated[
    str,
    Field(pattern=r"^((s3|gs)://[^\s/?#@:]+(/[^\s?#]*)?|hf://[^\s/?#@:]+/[^\s/?#@:]+(@[^\s?#@:]+)?(/[^\s?#@:]+)*/?)$"),
    expected("an address such as s3://bucket/path, gs://bucket/path or hf://owner/name@revision/path"),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), expected("64 lower-case hexadecimal digits")]
ImageReference = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_./:@-]*$"),
    expected("an image reference such as tensorflow/serving:2.20.0"),
]
MemorySize = Annotated[str, Field(pattern=r"^[1-9][0-9]*[kmg]$"), expected("a size such as 512m or 2g")]
