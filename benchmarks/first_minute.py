"""From an exported Keras model to the first answered request: `tfs serve`, `mlflow models serve`, `bentoml serve`.

Each tool is installed from PyPI, this one from the checkout, into an environment of its own, which is kept in the
user's cache for the next run. All three serve the same SavedModel with the same TensorFlow on this machine. The seconds
begin where a user has the model, the tool and the lines that the tool needs, and end with the first answer.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lab import PACKAGE, environment

ROUNDS = 3
READY_TIMEOUT_S = 180
TENSORFLOW = "tensorflow==2.20.*"
ROW = [1.0, 2.0, 3.0, 4.0]
EXPORT = """\
import keras
keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, activation="softmax")]).export("keras_model")
"""
# The fewest lines with which each tool serves a SavedModel; neither has a command that takes one as it is.
MLFLOW = """\
import mlflow, numpy, tensorflow as tf
class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = tf.saved_model.load(context.artifacts["model"])
    def predict(self, context, model_input, params=None):
        return self.model.serve(numpy.asarray(model_input, "float32")).numpy()
mlflow.pyfunc.save_model("mlflow_model", python_model=Model(), artifacts={"model": "keras_model"})
"""
BENTOML = """\
import bentoml, numpy, tensorflow as tf
@bentoml.service
class Model:
    def __init__(self):
        self.model = tf.saved_model.load("keras_model")
    @bentoml.api
    def predict(self, instances: list[list[float]]) -> list[list[float]]:
        return self.model.serve(numpy.asarray(instances, "float32")).numpy().tolist()
"""


@dataclass(frozen=True)
class Tool:
    """One way to serve: what pip installs, the lines that a user writes, and the steps up to the first answer.

    `first_answer` takes the directory with the model and the environment's directory of programs.
    """

    name: str
    packages: tuple[str, ...]
    lines: str
    first_answer: Callable[[Path, Path], float]


@dataclass(frozen=True)
class Measured:
    """Median seconds to the first answer, megabytes of the environment, lines written by the user."""

    seconds: float
    megabytes: float
    lines: int


def main() -> int:
    """Print seconds, megabytes and lines of each tool, and the ratios; exit 1 where ours is not the best."""
    measured = _measure([_tfs(), _mlflow(), _bentoml()])
    for name, one in measured.items():
        print(f"{name}: {one.seconds:.2f} s, {one.megabytes:.0f} MB, {one.lines} lines", flush=True)
    ours = measured["tfs serve"]
    others = [(name, one) for name, one in measured.items() if one is not ours]
    for name, one in others:
        print(f"{name} / tfs serve: {one.seconds / ours.seconds:.1f} of the seconds, ", end="")
        print(f"{one.megabytes / ours.megabytes:.2f} of the megabytes")
    return 0 if all(one.seconds > ours.seconds for _, one in others) else 1


def _measure(tools: list[Tool]) -> Mapping[str, Measured]:
    places = {tool.name: _environment(tool) for tool in tools}
    with tempfile.TemporaryDirectory() as directory:
        _run([places["tfs serve"] / "bin" / "python", "-c", EXPORT], Path(directory))
        taken: dict[str, list[float]] = {tool.name: [] for tool in tools}
        # In turns, so that a noisy neighbour meets them alike; the first turn, which compiles, is left out.
        for turn in range(ROUNDS + 1):
            for tool in tools:
                seconds = _seconds(tool, Path(directory), places[tool.name] / "bin")
                if turn:
                    taken[tool.name].append(seconds)
    return {
        tool.name: Measured(
            statistics.median(taken[tool.name]), _megabytes(places[tool.name]), len(tool.lines.splitlines())
        )
        for tool in tools
    }


def _seconds(tool: Tool, directory: Path, programs: Path) -> float:
    with tempfile.TemporaryDirectory() as fresh:
        shutil.copytree(directory / "keras_model", Path(fresh, "keras_model"))
        Path(fresh, "service.py").write_text(tool.lines)
        start = time.perf_counter()
        end = tool.first_answer(Path(fresh), programs)
        return end - start


def _tfs() -> Tool:
    def first_answer(directory: Path, programs: Path) -> float:
        try:
            shown = _run([programs / "tfs", "serve", "./keras_model"], directory).splitlines()
            _run(["bash", "-c", shown[1]], directory)
            return time.perf_counter()
        finally:
            _run([programs / "tfs", "teardown", "--purge"], directory)

    return Tool("tfs serve", (f"{PACKAGE.parent}[embedded]",), "", first_answer)


def _mlflow() -> Tool:
    def first_answer(directory: Path, programs: Path) -> float:
        _run([programs / "python", "service.py"], directory)
        port = _free_port()
        words = ("models", "serve", "-m", "mlflow_model", "--env-manager", "local", "-p", port)
        with _running([programs / "mlflow", *words], directory, programs):
            return _answered(f"http://127.0.0.1:{port}/invocations")

    return Tool("mlflow models serve", ("mlflow", TENSORFLOW), MLFLOW, first_answer)


def _bentoml() -> Tool:
    def first_answer(directory: Path, programs: Path) -> float:
        port = _free_port()
        with _running([programs / "bentoml", "serve", "service:Model", "-p", port], directory, programs):
            return _answered(f"http://127.0.0.1:{port}/predict")

    return Tool("bentoml serve", ("bentoml", TENSORFLOW), BENTOML, first_answer)


def _environment(tool: Tool) -> Path:
    """The directory of the tool's virtual environment, which is created where it is missing; needs uv."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "tfs-workflow-bench" / tool.name.replace(" ", "-")
    if not (place / "installed").exists():
        uv = shutil.which("uv") or "uv"
        _run([uv, "venv", "--clear", "--python", sys.executable, place], Path.cwd())
        _run([uv, "pip", "install", "--python", place / "bin" / "python", *tool.packages], Path.cwd())
        (place / "installed").touch()
    elif tool.name == "tfs serve":
        uv = shutil.which("uv") or "uv"
        again = ["--reinstall-package", "tfs-workflow", *tool.packages]
        _run([uv, "pip", "install", "--python", place / "bin" / "python", *again], Path.cwd())
    return place


def _megabytes(place: Path) -> float:
    """What the environment takes on disk, without compiled modules, which come with use."""
    files = (path for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc" and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def _run(argv: list[str | Path], directory: Path) -> str:
    done = subprocess.run(
        argv, cwd=directory, env=_variables(), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise RuntimeError(f"{argv[0]} exited {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _running(argv: list[str | Path], directory: Path, programs: Path) -> Iterator[None]:
    """A server in a session of its own, which is ended with all its children."""
    variables = _variables() | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    with Path(directory, "log").open("wb") as log:
        server = subprocess.Popen(argv, cwd=directory, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answered(url: str) -> float:
    """The moment of the first answer with three probabilities."""
    body = json.dumps({"instances": [ROW]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    end_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < end_s:
        try:
            with urllib.request.urlopen(request, timeout=READY_TIMEOUT_S) as answer:
                answer.read()
                return time.perf_counter()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    raise TimeoutError(f"{url} did not answer in {READY_TIMEOUT_S} s")


def _variables() -> dict[str, str]:
    """Ours, with the embedded server, and without the reports of use that the other tools send."""
    own = {"TFS_RUNTIME": "embedded", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return environment() | own


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return str(holder.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
