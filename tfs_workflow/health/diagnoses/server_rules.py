"""Diagnoses of servers: machine, image, ports, flags, configuration and exit codes."""

from tfs_workflow.health.diagnoses.rule import Row

SERVERS = (
    # The machine, the image and the process.
    Row(
        "out-of-memory",
        "the server ran out of memory",
        "raise server.memory, or serve a smaller model",
        out_of_memory=True,
        issues=(1215, 1836, 2017),
    ),
    Row(
        "packages-missing",
        "packages of the embedded server are not installed, or cannot be loaded here",
        "pip install 'tfs-workflow[embedded]'",
        log=r"The embedded model server needs more packages",
    ),
    Row(
        "library-missing",
        "the server's binary needs a shared library that is missing",
        "use the image that the binary was built for, or install the library",
        log=r"error while loading shared libraries|version `GLIBC\S*' not found",
    ),
    Row(
        "not-executable",
        "the image's model server is not executable for the server's user",
        "chmod 0755 /usr/bin/tensorflow_model_server in the image",
        log=r"exec \S+ failed: Permission denied",
    ),
    Row(
        "wrong-architecture",
        "the image's model server is for another kind of processor",
        "use an image for this machine's architecture, or runtime: embedded",
        # A shell that runs a binary of another processor reads it as a script.
        log=r"[Ee]xec format error|cannot execute binary file|tensorflow_model_server: \d+: .*(Syntax error|not found)",
        issues=(1948,),
    ),
    Row(
        "no-binary",
        "the image has no model server where it is expected",
        "server.image must keep the layout of tensorflow/serving: /usr/bin/tensorflow_model_server",
        log=r"exec \S+ failed: No such file or directory",
        exit_codes=(127,),
    ),
    Row(
        "processor-too-old",
        "this processor lacks instructions that the server was built for (AVX), or it is emulated",
        "set runtime: embedded, or use an image built for this processor",
        log=r"Illegal instruction|was compiled to use .* instructions, but these aren't available",
        exit_codes=(132,),
        issues=(1342, 1471, 1591),
    ),
    Row(
        "too-many-threads",
        "the server may not start more threads or processes",
        "set server.pids: auto and run invoke setup, or raise it; else raise the limit of this user: ulimit -u",
        log=r"Resource temporarily unavailable|creation via pthread_create\(\) failed|can't start new thread"
        r"|pthread_create failed",
    ),
    Row(
        "too-many-files",
        "the server may not open more files",
        "raise the limit of open files: ulimit -n",
        log=r"Too many open files",
    ),
    Row(
        "input-rank",
        "a request ended the server: an input had another rank than the model's convolution or pooling can take",
        "send the shape that invoke describe shows, with the batch dimension first; server.environment: "
        '{TF_ENABLE_ONEDNN_OPTS: "0"} makes it an error of that request (ResNet-50 is then 14 % slower)',
        log=r"Check failed: (index >= 0 && index < num_total_dims|d < dims\(\))",
        issues=(1179, 1299, 1530),
    ),
    Row(
        "internal-check",
        "the server aborted: one of its internal checks failed",
        "look for the line in TensorFlow Serving's tracker; try another version of the server",
        log=r"Check failed: |terminate called after throwing",
        exit_codes=(134,),
    ),
    Row(
        "crashed",
        "the server crashed (segmentation fault)",
        "try another version of the server; a custom operation or a GPU driver is the most frequent cause",
        exit_codes=(139,),
        issues=(1257,),
    ),
    Row(
        "killed",
        "the server was killed from outside",
        "run invoke serve again; without a kill, the machine ran out of memory: see the machine's log",
        exit_codes=(137,),
    ),
    Row(
        "terminated",
        "the server was stopped from outside, as by docker stop or a shutdown",
        "run invoke serve again",
        exit_codes=(0, 129, 130, 143),
    ),
    # Ports.
    Row(
        "address-unavailable",
        "the address to listen on does not belong to this machine",
        "remove bind_address from server.flags",
        log=r"Cannot assign requested address",
    ),
    Row(
        "ports-equal",
        "REST and gRPC have the same port, so REST is not served",
        "remove port and rest_api_port from server.flags, and set server.rest_port and server.grpc_port",
        log=r"http_port cannot be same as grpc_port",
        hopeless=True,
    ),
    Row(
        "rest-port-taken",
        "the REST port is taken inside the server's network, so only gRPC is served",
        "set server.rest_port to another port or to auto",
        log=r"Failed to start HTTP Server at",
        hopeless=True,
    ),
    Row(
        "certificate-invalid",
        "the key or the certificate for TLS cannot be used",
        "give server_key and server_cert as PEM text, not as paths, and of one pair; invoke doctor names the mistake",
        # Our own server; gRPC's ssl_security_connector.cc and ssl_transport_security.cc.
        log=r"Invalid (SSL config file|private key|cert chain)|Cannot use the certificate|Handshaker factory creation",
    ),
    Row(
        "grpc-port-taken",
        "the gRPC port is taken inside the server's network",
        "set server.grpc_port to another port or to auto",
        log=r"Failed to BuildAndStart gRPC server|Address already in use",
        issues=(1288,),
    ),
    # Flags and configuration.
    Row(
        "flag-refused",
        "a flag has a value of the wrong kind",
        "see `server.flags` in the YAML",
        log=r"Couldn't interpret value .* for flag",
    ),
    Row(
        "model-twice",
        "two models of the configuration have the same name",
        "give each model a different name",
        log=r"Illegal to list model .* multiple times in config list",
    ),
    Row(
        "base-path-relative",
        "a base path of the configuration is relative",
        "use an absolute path, such as /models/m",
        log=r"to have an absolute path or URI",
    ),
    Row(
        "platform-missing",
        "a model of the configuration names no platform",
        'add model_platform: "tensorflow" to it',
        log=r"Illegal setting neither ModelServerConfig::model_type",
    ),
    Row(
        "platform-unknown",
        "a model of the configuration names a platform that the server does not have",
        'the platform is model_platform: "tensorflow"',
        log=r"requests unsupported platform",
    ),
    Row(
        "batching-not-enabled",
        "batching parameters are set, but batching is not enabled",
        "set server.flags: {enable_batching: true}, or use `server.batching`, which does both",
        log=r"batching_parameters_file is set without setting",
    ),
    Row(
        "file-unparsable",
        "a file that a flag names is empty or not in protobuf's text format",
        "see the file; where tfs-workflow did not write it, `server.flags` in the YAML names it",
        log=r"Invalid protobuf file|Error parsing text-format|INVALID_ARGUMENT: \S+; Invalid argument",
        issues=(408,),
    ),
    Row(
        "file-missing",
        "the server cannot find a file that a flag names",
        "see `server.flags` in the YAML; a container sees only the models and /etc/tfs-workflow",
        log=r"Failed to start server\. Error: NOT_FOUND: \S+; No such file or directory",
    ),
)

# The server is gone, and no line of its log explains why.
VANISHED = Row(
    "vanished",
    "the server's process is gone without an exit code: it was killed, or ended with the machine",
    "run invoke serve again; without a kill or a restart, the machine ran out of memory: see the machine's log",
)

# Why a running server is not ready after its timeout, where no row above matches.
OVERDUE = (
    Row(
        "load-retried",
        "loading fails, and the server keeps retrying",
        "see the line; server.flags: {max_num_load_retries: 0} ends the start at the first failure",
        log=r"Loading servable: .* failed|Retrying of Loading servable",
    ),
    Row(
        "warming-up",
        "the model is still warming up",
        "raise server.ready_timeout_s, or shorten assets.extra/tf_serving_warmup_requests",
        log=r"Starting to read warmup data for model at (\S+)",
        unless=r"Finished reading warmup data for model at WHAT",
    ),
    Row(
        "still-loading",
        "the model is still loading",
        "raise server.ready_timeout_s",
        log=r"Loading servable version (\{[^}]*\})",
        unless=r"Successfully loaded servable version WHAT",
    ),
    Row(
        "not-looking",
        "the server runs but has not looked for models, or its log does not explain the wait",
        "see whether `server.flags` disables polling (file_system_poll_wait_seconds: -1); else report it",
    ),
)
