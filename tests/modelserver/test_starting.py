"""What keeps the server from starting, and what it says; README of the recordings, 'Starting'."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED, LISTENING, arguments, free_port, launched, serving
from tests.support.needs import missing


def refused(*flags: str) -> tuple[int, str]:
    """Exit code and log of a server that should not come up."""
    with launched(*flags) as server:
        code = server.process.wait(timeout=60)
        server.wait_for("^$")
        return code, "\n".join(server.lines)


def config(tmp_path: Path, text: str) -> str:
    (tmp_path / "models.config").write_text(text)
    return f"--model_config_file={tmp_path}/models.config"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_rest_listens_only_when_every_model_serves(tmp_path: Path) -> None:
    text = "model_config_list {"
    for name, path in (("good", BUNDLED), ("late", tmp_path / "late")):
        text += f' config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
    with launched(config(tmp_path, text + "}")) as server:
        server.wait_for("loaded servable version {name: good version: 123}")
        server.wait_for(f"No versions of servable late found under base path {tmp_path}/late")
        assert not listens(server.rest_port)
        assert not listens(server.grpc_port)
        graphs.plus(tmp_path / "late" / "1", 1)
        server.wait_for(LISTENING)
        assert server.states("late") == {"1": "AVAILABLE"}


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_or_missing_base_path_is_warned_of_each_second(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "m"
    if exists:
        path.mkdir()
    with launched(f"--model_base_path={path}", "--model_name=m") as server:
        server.wait_for(f"W tensorflow_serving/.*No versions of servable m found under base path {path}", count=2)
        assert not listens(server.rest_port)


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    graphs.corrupt(tmp_path / "m" / "1")
    code, log = refused(f"--model_base_path={tmp_path}/m", "--model_name=m", "--max_num_load_retries=0")
    assert code == 255
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{{name: m version: 1} due to error: DATA_LOSS: "
        f"Can't parse {tmp_path}/m/1/saved_model.pb as binary proto}}, }}"
    ) in log


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            'name: "m" base_path: "relative/m" model_platform: "tensorflow"',
            "INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path()=relative/m",
        ),
        (
            'name: "m" base_path: "/m"',
            "(deprecated) nor ModelServerConfig::model_platform, model name is m",
        ),
        ('name: "m" base_path: "/m" model_platform: "onnx"', "Model m requests unsupported platform onnx"),
        (
            'name: "m" base_path: "/m" model_platform: "tensorflow" model_type: TENSORFLOW',
            "Illegal setting both ModelServerConfig::model_type",
        ),
        ('nonsense: "m"', "INVALID_ARGUMENT: Invalid protobuf file"),
    ],
)
def test_a_wrong_configuration_is_refused_at_once(tmp_path: Path, model: str, message: str) -> None:
    code, log = refused(config(tmp_path, f"model_config_list {{ config {{ {model} }} }}"))
    assert code == 255
    assert message in log


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "variables",
            "NOT_FOUND: Specified file path does not appear to contain a SavedModel bundle (should have a file called "
            "`saved_model.pb`)\nSpecified file path: {version}",
        ),
        ("export.meta", "UNIMPLEMENTED: Session Bundle is deprecated and removed."),
    ],
)
def test_a_version_without_a_saved_model_is_named(tmp_path: Path, file: str, message: str) -> None:
    version = tmp_path / "m" / "1"
    version.mkdir(parents=True)
    (version / file).touch()
    code, log = refused(f"--model_base_path={tmp_path}/m", "--model_name=m", "--max_num_load_retries=0")
    assert code == 255
    assert message.format(version=version) in log


def test_a_model_named_twice_is_refused(tmp_path: Path) -> None:
    model = f'config {{ name: "m" base_path: "{BUNDLED}" model_platform: "tensorflow" }}'
    code, log = refused(config(tmp_path, f"model_config_list {{ {model} {model} }}"))
    assert code == 255
    assert "INVALID_ARGUMENT: Illegal to list model m multiple times in config list" in log


def test_a_configuration_file_that_is_not_there_is_named() -> None:
    code, log = refused("--model_config_file=/nowhere/models.config")
    assert code == 255
    assert "/nowhere/models.config" in log


def labelled(tmp_path: Path) -> str:
    model = f'name: "m" base_path: "{BUNDLED}" model_platform: "tensorflow" version_labels {{ key: "s" value: 123 }}'
    return config(tmp_path, f"model_config_list {{ config {{ {model} }} }}")


def test_labels_in_the_first_configuration_are_refused_without_their_flag(tmp_path: Path) -> None:
    code, log = refused(labelled(tmp_path))
    assert code == 255
    assert "FAILED_PRECONDITION: Request to assign label to version 123 of model m" in log


def test_labels_in_the_first_configuration_work_with_their_flag(tmp_path: Path) -> None:
    with serving(labelled(tmp_path), "--allow_version_labels_for_unavailable_models=true") as server:
        status, answer = server.post("/v1/models/m/labels/s:predict", {"instances": [1.0]})
        assert (status, answer) == (200, {"predictions": [2.5]})


def test_an_unknown_flag_only_warns() -> None:
    with serving("--no_such_flag=1") as server:
        assert server.predict([1.0]) == [2.5]
        server.wait_for("unknown argument: --no_such_flag=1")


def test_a_flag_without_meaning_here_says_so_once() -> None:
    with serving("--enable_profiler=false") as server:
        server.wait_for("--enable_profiler has no meaning for the embedded server")
        assert sum("enable_profiler" in line for line in server.lines) == 1


def test_a_flag_with_a_wrong_value_is_refused() -> None:
    code, log = refused("--file_system_poll_wait_seconds=often")
    assert code == 255
    assert "Couldn't interpret value often for flag file_system_poll_wait_seconds." in log


def test_without_a_model_the_usage_is_shown() -> None:
    code, log = refused()
    assert code == 255
    assert "--model_base_path" in log


def test_a_taken_rest_port_leaves_grpc_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with launched(f"--model_base_path={BUNDLED}", f"--rest_api_port={port}") as server:
            server.wait_for(f"Failed to start HTTP Server at localhost:{port}")
            server.wait_for("Running gRPC ModelServer at")
            assert listens(server.grpc_port)


def test_equal_ports_leave_grpc_alone() -> None:
    port = free_port()
    with launched(f"--model_base_path={BUNDLED}", f"--port={port}", f"--rest_api_port={port}") as server:
        server.wait_for("http_port cannot be same as grpc_port")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"GET /v1/models/default HTTP/1.1\r\n\r\n")
            while client.recv(4096):
                pass
        assert server.end() == 0
        assert not any("Traceback" in line for line in server.lines)


def test_a_taken_grpc_port_ends_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = refused(f"--model_base_path={BUNDLED}", f"--port={port}")
        assert code == 255
        assert "Failed to BuildAndStart gRPC server" in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_ended_while_it_waits_for_a_model(tmp_path: Path, number: signal.Signals) -> None:
    with launched(f"--model_base_path={tmp_path}/m") as server:
        server.wait_for("No versions of servable")
        server.process.send_signal(number)
        assert server.process.wait(timeout=60) == 0


def test_it_can_be_ended_between_retries(tmp_path: Path) -> None:
    graphs.corrupt(tmp_path / "m" / "1")
    with launched(f"--model_base_path={tmp_path}/m") as server:
        server.wait_for("Loading servable: .* failed")
        assert server.end() == 0


def run_module(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfs_workflow.modelserver", *flags]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_the_version_is_printed() -> None:
    ran = run_module("--version")
    assert ran.returncode == 0
    assert ran.stdout.startswith("TensorFlow ModelServer: 2.20.0")
    assert "TensorFlow Library: 2." in ran.stdout


def test_help_lists_the_real_servers_flags() -> None:
    ran = run_module("--help")
    assert ran.returncode == 0
    for name in ("rest_api_port", "ssl_config_file", "enable_model_warmup", "num_tflite_pools", "mixed_precision"):
        assert f"--{name}=" in ran.stdout


PACKAGES = (
    "_cffi_backend", "google.protobuf", "google_crc32c", "httptools", "ngh2", "numpy", "orjson", "simdjson",
    "tensorflow", "uvloop",
)  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_named_in_one_line(tmp_path: Path, package: str) -> None:
    blocked = "import sys, importlib.abc\nclass Block(importlib.abc.MetaPathFinder):\n"
    blocked += "    def find_spec(self, name, path, target=None):\n"
    blocked += f"        if name == {package!r}: raise ModuleNotFoundError('No module named ' + repr(name))\n"
    blocked += "sys.meta_path.insert(0, Block())\n"
    (tmp_path / "sitecustomize.py").write_text(blocked)
    ran = run_module(f"--model_base_path={BUNDLED}", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1
    assert "pip install 'tfs-workflow[embedded]'" in ran.stderr


def test_nothing_of_tensorflows_python_is_imported() -> None:
    code = "import sys; from tfs_workflow.modelserver import server; "
    code += "from tfs_workflow.modelserver.tensorflow import capi; capi.load(); "
    code += "print([m for m in sys.modules if m.split('.')[0] == 'tensorflow']); sys.stdout.flush(); "
    code += "import os; os._exit(0)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


_IMPORTED_LATE = """
import importlib, sys
from tfs_workflow.modelserver.tensorflow import capi, startup
for name in startup.{extensions}:
    importlib.import_module(name)
before = set(sys.modules)
importlib.import_module("{module}")
print([name for name in sys.modules.keys() - before
       if (getattr(sys.modules[name], "__file__", None) or "").endswith((".so", ".pyd"))])
"""


@pytest.mark.parametrize(
    ("extensions", "module"),
    [("SERVER_EXTENSIONS", "server"), ("ENGINE_EXTENSIONS", "model_engine"), ("ENGINE_EXTENSIONS", "link.engine_side")],
)
def test_no_extension_module_is_opened_while_the_library_loads(extensions: str, module: str) -> None:
    code = _IMPORTED_LATE.format(extensions=extensions, module=f"tfs_workflow.modelserver.{module}")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"


def test_it_writes_no_file(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        missing("strace is not installed")
    flags = arguments(f"--model_base_path={BUNDLED}", rest_port=free_port(), grpc_port=free_port())
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=openat,creat,mkdir,rename,unlink", "-o", str(trace), *flags]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as traced:
        assert traced.stderr is not None
        assert any(LISTENING in line for line in traced.stderr)
        os.killpg(traced.pid, signal.SIGTERM)
        traced.stderr.read()
    written = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|creat\(|mkdir\(|rename\(|unlink\(")
    lines = [line for line in trace.read_text().splitlines() if written.search(line) and "= -1" not in line]
    assert [line for line in lines if '"/dev/' not in line and '"/proc/' not in line] == []
