"""How each failure of the table of diagnoses is made: a real model server that fails in this very way."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import docker

from tests.support import models
from tests.support.modelserver import graphs
from tests.support.needs import shared
from tests.support.waiting import until
from tfs_workflow.client.interface import State
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.errors import ServerNotReadyError, WorkflowError
from tfs_workflow.formats.savedmodel import WARMUP_FILE
from tfs_workflow.formats.tfrecord import framed
from tfs_workflow.health.readiness import wait_until_available
from tfs_workflow.protos.serving_apis_pb2 import PredictionLog
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.ports import free_port
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec
from tfs_workflow.workflow.plan.watched_server import WatchedServer

Overrides = dict[str, Any]
NEVER_READY = {"file_system_poll_wait_seconds": "-1"}


@dataclass(frozen=True)
class Reproduction:
    """A base path, what the server spec says beside it, and what happens to the server once it was started.

    `in_image` is a shell command that changes the image before.
    """

    base_path: Callable[[Path], Path] = models.good
    spec: Callable[[Path], Overrides] = field(default=lambda directory: {})
    flags: dict[str, str] = field(default_factory=dict)
    model: Overrides = field(default_factory=dict)
    then: Callable[[ModelServer, Path], None] = field(default=lambda server, base_path: None)
    timeout_s: float = 60
    in_image: str = ""


def outcome(
    made: Reproduction, runtimes: Callable[[str], Runtime], directory: Path, **common: Any
) -> ServerNotReadyError:
    """What readiness says of the failure; the server is stopped. `runtimes` gives the runtime of a name."""
    base_path = made.base_path(directory)
    project = f"test-{uuid.uuid4().hex[:10]}"
    overrides: Overrides = {"project": project, "rest_port": 0, "grpc_port": 0, **common, **made.spec(directory)}
    if overrides.get("runtime") == "docker":  # it mounts this directory whole, and the model by itself
        overrides["models_dir"] = directory / "fetched"
        overrides["models_dir"].mkdir(exist_ok=True)
    flags = tuple((dict(overrides.pop("flags", {})) | made.flags).items())
    spec = ServerSpec(models=(ModelSpec("m", base_path, **made.model),), flags=flags, **overrides)
    runtime = runtimes(spec.runtime)
    server = runtime.start(spec)
    try:
        made.then(server, base_path)
        with RestJsonClient(server.rest_url) as client:
            wait_until_available({"m": [1]}, client, WatchedServer(runtime, server), made.timeout_s)
    except ServerNotReadyError as error:
        return error
    finally:
        runtime.stop(server, timeout_s=0)
    raise AssertionError("the server came up")


# Models.


def graph(make: Callable[..., Path], *arguments: Any) -> Callable[[Path], Path]:
    """The base path of a model that `make` writes."""

    def base_path(directory: Path) -> Path:
        return make(directory / "model" / "1", *arguments).parent

    return base_path


def with_variables(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    """A model with variables of which something is changed, given the directory variables/."""

    def base_path(directory: Path) -> Path:
        source = shared("testdata", "models", "saved_model_half_plus_two_cpu", "00000123")
        version = Path(shutil.copytree(source, directory / "model" / "1"))
        change(version / "variables")
        return version.parent

    return base_path


def _data(variables: Path) -> Path:
    return variables / "variables.data-00000-of-00001"


def _of_another_model(variables: Path) -> None:
    shutil.rmtree(variables)
    shutil.copytree(shared("testdata", "models", "mlp", "1", "variables"), variables)


def _without_saved_model(directory: Path) -> Path:
    base_path = models.good(directory)
    (base_path / "1" / "saved_model.pb").unlink()
    return base_path


def _without_its_vocabulary(directory: Path) -> Path:
    version = directory / "model" / "1"
    return graphs.reading(version, str(version / "assets" / "vocabulary.txt")).parent


def warmed_up(content: bytes, make: Callable[[Path], Path] = models.good) -> Callable[[Path], Path]:
    """A model with this warm-up file."""

    def base_path(directory: Path) -> Path:
        found = make(directory)
        path = found / "1" / WARMUP_FILE
        path.parent.mkdir()
        path.write_bytes(content)
        return found

    return base_path


def _record(input_name: str) -> bytes:
    request = PredictionLog()
    request.predict_log.request.model_spec.name = "m"
    tensor = request.predict_log.request.inputs[input_name]
    tensor.dtype = graphs.FLOAT
    tensor.tensor_shape.dim.add(size=1)
    tensor.float_val.append(1.0)
    return framed(request.SerializeToString())


# Files that flags name.


def file_of(flag: str, text: str, **flags: str) -> Callable[[Path], Overrides]:
    """A spec whose flag names a file with this text; BASE in it stands for a base path that can be served."""

    def overrides(directory: Path) -> Overrides:
        path = directory / "named-by-a-flag.config"
        path.write_text(text.replace("BASE", str(models.VERSION.parent)))
        return {"flags": {flag: str(path), **flags}}

    return overrides


def configured(*configs: str) -> Callable[[Path], Overrides]:
    """A spec with a model configuration of these entries."""
    return file_of("model_config_file", "model_config_list {" + "".join(f" config {{ {c} }}" for c in configs) + " }")


# Processes.


def _signal(number: signal.Signals) -> Reproduction:
    """A server that gets this signal while it waits for its model."""

    def send(server: ModelServer, base_path: Path) -> None:
        os.kill(int(server.id), number)

    return Reproduction(flags=NEVER_READY, then=send)


def script(*lines: str) -> Callable[[Path], Overrides]:
    """A spec of the native runtime whose binary is a shell script that ends in the embedded server."""

    def overrides(directory: Path) -> Overrides:
        path = directory / "tensorflow_model_server"
        server = f'exec {sys.executable} -m tfs_workflow.modelserver --bind_address=127.0.0.1 "$@"'
        path.write_text("\n".join(["#!/bin/sh", *lines, server]).replace("HERE", str(directory)) + "\n")
        path.chmod(0o755)
        return {"runtime": "native", "binary": str(path)}

    return overrides


def _without_a_package(directory: Path) -> Overrides:
    (directory / "sitecustomize.py").write_text("import sys\nsys.modules['uvloop'] = None\n")
    return script("export PYTHONPATH=HERE")(directory)


def _without_its_library(directory: Path) -> Overrides:
    """A binary that needs a library of a name that there is not."""
    path = directory / "tensorflow_model_server"
    path.write_bytes(Path("/bin/true").read_bytes().replace(b"libc.so.6", b"libq.so.6"))
    path.chmod(0o755)
    return {"runtime": "native", "binary": str(path)}


# Ports.


def _equal_ports(directory: Path) -> Overrides:
    port = str(free_port())
    return {"flags": {"port": port, "rest_api_port": port}}


_HELD: list[socket.socket] = []


def taken(flag: str) -> Callable[[Path], Overrides]:
    """A spec with a port that another has; nobody listens on it, so that a question is refused at once."""

    def overrides(directory: Path) -> Overrides:
        _HELD.append(socket.socket())
        _HELD[-1].bind(("127.0.0.1", 0))
        return {"flags": {flag: str(_HELD[-1].getsockname()[1])}}

    return overrides


def release() -> None:
    """Free the ports that `taken` holds."""
    while _HELD:
        with closing(_HELD.pop()):
            pass


def logged(words: str) -> Callable[[ModelServer, Path], None]:
    """Wait until the server's log has these words."""

    def wait(server: ModelServer, base_path: Path) -> None:
        log = base_path.parent / "run" / "server.log"
        until(lambda: words in log.read_text())

    return wait


def _replaced_by_a_newer(server: ModelServer, base_path: Path) -> None:
    with RestJsonClient(server.rest_url) as client:

        def states() -> dict[int, State]:
            try:
                return {version.version: version.state for version in client.status("m")}
            except ServerNotReadyError:
                return {}

        until(lambda: states().get(1) is State.AVAILABLE)
        shutil.copytree(base_path / "1", base_path / "copy")
        (base_path / "copy").rename(base_path / "2")
        until(lambda: states().get(1) is State.END)


# By row. A server that is a local process; the package's own, which uses the real server's words.
PROCESSES: dict[str, Reproduction] = {
    "packages-missing": Reproduction(spec=_without_a_package),
    "library-missing": Reproduction(spec=_without_its_library),
    "processor-too-old": _signal(signal.SIGILL),
    "too-many-files": Reproduction(spec=script("ulimit -n 8")),
    "internal-check": _signal(signal.SIGABRT),
    "crashed": _signal(signal.SIGSEGV),
    "killed": _signal(signal.SIGKILL),
    "terminated": _signal(signal.SIGTERM),
    "address-unavailable": Reproduction(flags={"bind_address": "192.0.2.1"}),
    "ports-equal": Reproduction(spec=_equal_ports),
    "rest-port-taken": Reproduction(spec=taken("rest_api_port")),
    "grpc-port-taken": Reproduction(spec=taken("port")),
    "flag-refused": Reproduction(flags={"file_system_poll_wait_seconds": "often"}),
    "model-twice": Reproduction(spec=configured(*['name: "m" base_path: "BASE" model_platform: "tensorflow"'] * 2)),
    "base-path-relative": Reproduction(spec=configured('name: "m" base_path: "m" model_platform: "tensorflow"')),
    "platform-missing": Reproduction(spec=configured('name: "m" base_path: "BASE"')),
    "platform-unknown": Reproduction(spec=configured('name: "m" base_path: "BASE" model_platform: "onnx"')),
    "batching-not-enabled": Reproduction(spec=file_of("batching_parameters_file", "max_batch_size { value: 8 }")),
    "file-unparsable": Reproduction(spec=file_of("monitoring_config_file", "prometheus: yes")),
    "file-missing": Reproduction(flags={"model_config_file": "/nowhere/models.config"}),
    "scheme-unknown": Reproduction(
        spec=configured('name: "m" base_path: "s3://bucket/m" model_platform: "tensorflow"')
    ),
    "base-path-missing": Reproduction(models.not_there),
    "version-missing": Reproduction(model={"latest": None, "versions": (7,)}),
    "no-version": Reproduction(models.without_version),
    "warmup-unreadable": Reproduction(warmed_up(b"no records")),
    "warmup-too-long": Reproduction(warmed_up(_record("x") * 1001)),
    "label-unavailable": Reproduction(
        model={"labels": (("stable", 1),)}, flags={"allow_version_labels_for_unavailable_models": "false"}
    ),
    "saved-model-missing": Reproduction(_without_saved_model),
    "saved-model-corrupt": Reproduction(models.corrupt),
    "tags-missing": Reproduction(models.empty_saved_model),
    "certificate-invalid": Reproduction(
        spec=file_of("ssl_config_file", 'server_key: "/etc/ssl/key.pem" server_cert: "/etc/ssl/certificate.pem"')
    ),
    "op-unknown": Reproduction(graph(graphs.unknown_op)),
    "op-differs": Reproduction(graph(graphs.without_attribute)),
    "kernel-dropped": Reproduction(graph(graphs.with_dropped_kernel)),
    "kernel-missing": Reproduction(graph(graphs.without_kernel)),
    "device-missing": Reproduction(graph(graphs.on_device, "/device:GPU:0")),
    "graph-too-new": Reproduction(graph(graphs.of_the_future)),
    "variables-missing": Reproduction(with_variables(lambda variables: _data(variables).unlink())),
    "variables-cut": Reproduction(with_variables(lambda variables: os.truncate(_data(variables), 2))),
    "variables-index-corrupt": Reproduction(
        with_variables(lambda variables: os.truncate(variables / "variables.index", 20))
    ),
    "variables-corrupt": Reproduction(with_variables(lambda variables: _data(variables).write_bytes(b"\xff" * 20))),
    "variables-foreign": Reproduction(with_variables(_of_another_model)),
    "asset-missing": Reproduction(_without_its_vocabulary),
    "allocation-failed": Reproduction(graph(graphs.filling, 10**8)),
    "batching-refused": Reproduction(
        spec=lambda directory: {"batching": (("max_batch_size", 8), ("allowed_batch_sizes", (2, 4)))}
    ),
    "start-up-failed": Reproduction(graph(graphs.refusing)),
    "warmup-failed": Reproduction(warmed_up(_record("no_such_input"))),
    "unloaded": Reproduction(then=_replaced_by_a_newer),
    "load-retried": Reproduction(
        graph(graphs.twice_the_same_name),
        flags={"max_num_load_retries": "9"},
        then=logged("Loading servable: {name: m version: 1} failed"),
        timeout_s=0.5,
    ),
    "warming-up": Reproduction(
        warmed_up(_record("x"), graph(partial(graphs.slow, products=900))),
        then=logged("Starting to read warmup data"),
        timeout_s=0.5,
    ),
    "still-loading": Reproduction(
        graph(graphs.toiling, 900), then=logged("Loading servable version {name: m version: 1}"), timeout_s=0.5
    ),
    "not-looking": Reproduction(flags=NEVER_READY, timeout_s=0.5),
}

BINARY = "/usr/bin/tensorflow_model_server"
# The number of the ELF header that says for which processor it is: 183 is AArch64.
FOR_ARM64 = f"cp /bin/true {BINARY} && printf '\\267\\000' | dd of={BINARY} bs=1 seek=18 conv=notrunc"


def signalling(name: str) -> Callable[[ModelServer, Path], None]:
    """Send this signal to the server in its container; the engine signals init, which passes on only some."""

    def send(server: ModelServer, base_path: Path) -> None:
        found = docker.from_env().containers.get(server.id)
        until(lambda: found.exec_run(["sh", "-c", f"kill -{name} $(cat /proc/1/task/1/children)"]).exit_code == 0)

    return send


def _kill(name: str) -> Reproduction:
    """A container whose server gets this signal while it waits for its model."""
    return Reproduction(flags=NEVER_READY, then=signalling(name))


def _kill_container(server: ModelServer, base_path: Path) -> None:
    docker.from_env().containers.get(server.id).kill()


def _send_another_rank(server: ModelServer, base_path: Path) -> None:
    """Wait until the model serves, and send an image without its batch dimension."""
    with RestJsonClient(server.rest_url) as client:
        until(lambda: _serves(client))
        with suppress(WorkflowError):
            client.predict("m", [[[1.0]] * 4] * 4)


def _serves(client: RestJsonClient) -> bool:
    with suppress(WorkflowError):
        return [one.state for one in client.status("m")] == [State.AVAILABLE]
    return False


# A signature without a rank, and one process: our own server refuses the request, or goes on serving, otherwise.
_ANOTHER_RANK = Reproduction(
    graph(partial(graphs.convolution, names_rank=False)),
    spec=lambda directory: {"environment": tuple(graphs.ONEDNN_ON.items())},
    flags={"fronts": "0"},
    then=_send_another_rank,
)


def _for_nobody(directory: Path) -> Path:
    base_path = models.good(directory)
    (base_path / "1" / "saved_model.pb").chmod(0)
    return base_path


# What takes a container: limits, images and users; and some of the above, as a container shows them.
CONTAINERS: dict[str, Reproduction] = {
    "out-of-memory": Reproduction(graph(graphs.filling, 2000), spec=lambda directory: {"memory_bytes": 700 * 2**20}),
    "too-many-threads": Reproduction(spec=lambda directory: {"pids": 4}),
    "no-binary": Reproduction(in_image=f"rm {BINARY}"),
    "not-executable": Reproduction(in_image=f"chmod 0644 {BINARY}"),
    "wrong-architecture": Reproduction(in_image=FOR_ARM64),
    "disk-full": Reproduction(graph(graphs.writing, "/dev/shm/written", 70)),
    "read-only": Reproduction(graph(graphs.writing, "/written", 1)),
    "unreadable": Reproduction(_for_nobody),
    "input-rank": _ANOTHER_RANK,
    "processor-too-old": _kill("ILL"),
    "crashed": _kill("SEGV"),
    "killed": Reproduction(flags=NEVER_READY, then=_kill_container),
    "terminated": _kill("TERM"),
    "no-version": Reproduction(models.without_version),
    "saved-model-corrupt": Reproduction(models.corrupt),
}
