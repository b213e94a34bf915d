"""The command line of tensorflow_model_server 2.20.0, flag by flag, and the few flags that are our own.

A drop-in must accept every command line that tensorflow_model_server accepts. So the table has all its flags, with its
defaults. Flags that have no meaning here are accepted and reported at the start; an unknown argument is reported too,
and is not an error, as in TensorFlow's own flag parser (tsl/util/command_line_flags.cc). argparse reads `--name value`
as well, which TensorFlow does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfs_workflow.modelserver import log, processors

# TensorFlow Serving's exit code for a start that failed: main returns -1 (model_servers/main.cc).
FAILED = 255
CPUS = processors.usable()
# One front keeps up with an engine for small requests; large arrays are read by several side by side.
_FRONTS = min(max(CPUS // 2, 1), 4)


@dataclass(frozen=True)
class Flag:
    """One flag: its name, its default, whose type is the flag's, and its help."""

    name: str
    default: str | int | float | bool
    help: str
    has_meaning: bool = True


def _ignored(name: str, default: str | int | float | bool, help_text: str) -> Flag:
    return Flag(name, default, f"{help_text} Accepted, without meaning here.", has_meaning=False)


# The embedded server's own, which TensorFlow Serving does not know.
OWN = (
    Flag("bind_address", "", "Address to listen on; all of them when empty."),
    Flag("rest_api_max_body_bytes", 256 * 2**20, "Largest body of a HTTP/REST request; more is answered with 413."),
    Flag("rest_api_max_connections", 4096, "Most connections of a port at a time; more are answered with 503."),
    Flag("max_waiting_requests", 1000, "Most requests that wait for a thread; more are answered with 503."),
    Flag("drain_seconds", 10.0, "Longest wait, after SIGTERM, for requests in work."),
    Flag("drain_linger_seconds", 0.0, "How long, after SIGTERM, idle connections stay open for another request."),
    Flag("tls_certificate_file", "", "PEM file with the certificate chain of REST and gRPC: both over TLS."),
    Flag("tls_key_file", "", "PEM file with its key."),
    Flag("token_file", "", "File with the bearer token that every request but a probe must have."),
    Flag("max_held_bytes", 2**30, "Most bytes of bodies in work, with --fronts; more are answered with 503."),
    Flag("large_graph_bytes", 100 * 2**20, "Size of saved_model.pb from which on its graph is loaded in less memory."),
    Flag("flagfile", "", "Text file with a flag a line, read after the command line; with --fronts again on SIGHUP."),
    Flag("fronts", _FRONTS, "Processes that hold the connections, beside one that runs TensorFlow; 0 is one process."),
)
FLAGS: tuple[Flag, ...] = (
    Flag("port", 8500, "TCP port of the gRPC API. Disabled if set to zero."),
    Flag("grpc_socket_path", "", "If non-empty, listen to a UNIX socket for gRPC API on the given path."),
    Flag("rest_api_port", 0, "TCP port of the HTTP/REST API. Disabled if set to zero; must differ from --port."),
    Flag("rest_api_num_threads", 4 * CPUS, "Threads for requests that may not run in place."),
    Flag("rest_api_timeout_in_ms", 30000, "Milliseconds that a HTTP/REST request may take."),
    Flag("rest_api_enable_cors_support", False, "Enable CORS headers in responses."),
    Flag("enable_batching", False, "Put concurrent requests together into batches."),
    Flag("allow_version_labels_for_unavailable_models", False, "Allow labels on models that are not available yet."),
    _ignored("enable_per_model_batching_parameters", False, "Read batching_params.pbtxt of each version."),
    Flag("batching_parameters_file", "", "Text file with a BatchingParameters message; needs --enable_batching."),
    Flag("model_config_file", "", "Text file with a ModelServerConfig message: the models to serve."),
    Flag("model_config_file_poll_wait_seconds", 0, "Seconds between looks at --model_config_file; 0 looks once."),
    Flag("model_name", "default", "Name of the only model (ignored with --model_config_file)."),
    Flag("model_base_path", "", "Its base path (ignored with --model_config_file, otherwise required)."),
    Flag("num_load_threads", 0, "Threads that load and unload versions after the first load; 0 means one."),
    _ignored("num_unload_threads", 0, "Threads that unload versions."),
    Flag("max_num_load_retries", 5, "How often the loading of a version is retried."),
    Flag("load_retry_interval_micros", 60_000_000, "Microseconds between retries of a load."),
    Flag("file_system_poll_wait_seconds", 1, "Seconds between looks at the base paths; 0 looks once, -1 never."),
    _ignored("flush_filesystem_caches", True, "Flush filesystem caches after loading."),
    Flag("tensorflow_session_parallelism", 0, "Threads of a TensorFlow session; 0 lets TensorFlow choose."),
    Flag("tensorflow_intra_op_parallelism", 0, "Threads within one operation; 0 lets TensorFlow choose."),
    Flag("tensorflow_inter_op_parallelism", 0, "Threads for independent operations; 0 lets TensorFlow choose."),
    Flag("tensorflow_session_config_file", "", "Text file with a ConfigProto message for the sessions."),
    _ignored("use_alts_credentials", False, "Use Google ALTS credentials."),
    Flag("ssl_config_file", "", "Text file with an SSLConfig message: gRPC over TLS."),
    _ignored("platform_config_file", "", "Text file with a PlatformConfigMap message."),
    Flag("per_process_gpu_memory_fraction", 0.0, "Share of the GPU's memory that the server takes; 0 means as needed."),
    Flag("saved_model_tags", "serve", "Comma-separated tags of the graph to load from a SavedModel."),
    _ignored("grpc_channel_arguments", "", "Comma-separated key=value arguments of the gRPC server."),
    _ignored("grpc_max_threads", 4 * CPUS, "Threads for gRPC requests."),
    Flag("enable_model_warmup", True, "Run the requests of assets.extra/tf_serving_warmup_requests before serving."),
    Flag("num_request_iterations_for_warmup", 1, "How often each warm-up request is run."),
    Flag("version", False, "Print the version and end."),
    Flag("monitoring_config_file", "", "Text file with a MonitoringConfig message."),
    _ignored("remove_unused_fields_from_bundle_metagraph", True, "Drop unused parts of the graph."),
    _ignored("prefer_tflite_model", False, "Prefer a TensorFlow Lite model."),
    _ignored("num_tflite_pools", CPUS, "Interpreter pools for TensorFlow Lite."),
    _ignored("num_tflite_interpreters_per_pool", 1, "Interpreters in a TensorFlow Lite pool."),
    _ignored("enable_signature_method_name_check", False, "Check method names of signatures."),
    _ignored("xla_cpu_compilation_enabled", False, "Enable XLA:CPU JIT."),
    _ignored("xla_gpu_compilation_enabled", False, "Enable XLA:GPU JIT."),
    _ignored("enable_profiler", True, "Enable the profiler service."),
    _ignored("thread_pool_factory_config_file", "", "Text file with a ThreadPoolConfig message."),
    _ignored("mixed_precision", "", "Mixed precision mode."),
    _ignored("skip_initialize_tpu", False, "Do not initialize TPUs."),
    Flag("enable_grpc_healthcheck_service", False, "Enable the standard gRPC health service."),
    Flag("enable_serialization_as_tensor_content", False, "Answer gRPC with tensor_content instead of *_val fields."),
    _ignored("enable_per_model_metrics", False, "Enable the GetModelMetrics API."),
    *OWN,
)
# What the parent and the fronts of a server have read at its start; a new engine cannot change it.
FIXED = (
    *("fronts", "flagfile", "port", "grpc_socket_path", "rest_api_port", "bind_address", "ssl_config_file"),
    *("rest_api_timeout_in_ms", "rest_api_enable_cors_support", "rest_api_max_body_bytes", "rest_api_max_connections"),
    *("max_held_bytes", "drain_seconds", "drain_linger_seconds", "tls_certificate_file", "tls_key_file", "token_file"),
)
_BY_NAME = {flag.name: flag for flag in FLAGS}


class UsageError(Exception):
    """A flag whose value cannot be read."""


@dataclass
class Flags:
    """The values of all flags, by attribute; `unknown` and `meaningless` are what the user should hear of."""

    values: dict[str, Any] = field(default_factory=lambda: {flag.name: flag.default for flag in FLAGS})
    unknown: list[str] = field(default_factory=list)
    meaningless: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def names_a_model(self) -> bool:
        """Whether there is anything to serve."""
        return bool(self.model_base_path or self.model_config_file)

    def warn(self) -> None:
        """Log what the command line has without effect."""
        for argument in self.unknown:
            log.warning("model_servers/main.cc", f"unknown argument: {argument}")
        for name in self.meaningless:
            log.warning("model_servers/main.cc", f"--{name} has no meaning for the embedded server")


def parse(arguments: Sequence[str]) -> Flags:
    """Read --name=value and --name; raises UsageError. Other arguments are collected in `unknown`, as in TensorFlow."""
    flags = Flags()
    for argument in arguments:
        name, has_value, text = argument.removeprefix("--").partition("=")
        flag = _BY_NAME.get(name) if argument.startswith("--") else None
        # Only a boolean flag may stand without a value, as in TensorFlow.
        if flag is None or not (has_value or isinstance(flag.default, bool)):
            flags.unknown.append(argument)
            continue
        flags.values[name] = _value(flag, text if has_value else "true")
        # A flag that is given with its default changes nothing, so there is nothing to warn of.
        if not flag.has_meaning and flags.values[name] != flag.default:
            flags.meaningless.append(name)
    return flags


def expanded(arguments: Sequence[str]) -> list[str]:
    """The arguments and, after them, the lines of the file that --flagfile names; raises UsageError."""
    path = parse(arguments).flagfile
    if not path:
        return list(arguments)
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"Couldn't read --flagfile={path}: {error}") from error
    return [*arguments, *(line for line in lines if line and not line.startswith("#"))]


def usage(command: str) -> str:
    """The help text."""
    lines = [f"usage: {command}", "Flags:"]
    for flag in FLAGS:
        kind = {bool: "bool", int: "int32", float: "float", str: "string"}[type(flag.default)]
        shown = str(flag.default).lower() if isinstance(flag.default, bool) else flag.default
        default = f'"{shown}"' if kind == "string" else shown
        lines.append(f"\t{f'--{flag.name}={default}':<56}\t{kind:<8}{flag.help}")
    return "\n".join(lines) + "\n"


def _value(flag: Flag, text: str) -> str | int | float | bool:
    try:
        if isinstance(flag.default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return type(flag.default)(text)
    except (KeyError, ValueError) as error:
        raise UsageError(f"Couldn't interpret value {text} for flag {flag.name}.") from error
