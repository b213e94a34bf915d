"""The tasks: a table of contents of the verbs, each with its options and their help texts."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.collection import Collection

from tfs_workflow.cli.verb_task import verb_task

# ruff: noqa: PLR0913, PLR0917  # a declaration has the verb's options and no body


@verb_task(
    "lifecycle.setup.setup",
    locked="Fail on any difference from the lock file: commit, file hashes, image digest.",
    offline="Use no network, only files that are here already.",
    update="Fetch again, even what is here already, such as a branch that moved.",
)
def setup(locked: bool = False, offline: bool = False, update: bool = False) -> None:
    """Create the workspace, fetch the models, pull the image."""


@verb_task(
    "lifecycle.serve.serve",
    path="A SavedModel, a directory of several or an archive, to serve without a YAML.",
    follow="Stream the server's log until Ctrl-C, then tear down.",
    setup="Run a missing setup first.",
)
def serve(path: str = "", follow: bool = False, setup: bool = True) -> None:
    """Start the server; return once every model is AVAILABLE."""


@verb_task(
    "model.predict.predict",
    model="Model name; needed only when the YAML has several.",
    version="Version number (default: the newest served).",
    label="Version label, such as stable.",
    signature="Signature name (default: serving_default).",
    instances="JSON list in row format, such as '[1.0, 2.0, 5.0]', or @FILE.",
    inputs="JSON in column format, one value per input tensor, or @FILE.",
    input="File of rows: .jsonl, .json, .csv, .npy, .npz, .parquet, or - for JSON lines on stdin.",
    image="Image file, or - for stdin: sent as bytes or pixels, by the signature's type.",
    pixels="Floats for the pixels of --image: unit (0 to 1), signed (-1 to 1) or byte (0 to 255).",
    output="File for the predictions (default: stdout); appears only when whole.",
    batch_rows="Rows per request (default: 512, or less where the server batches less).",
    on_error="With --input: stop at a row that the server rejects, or skip it (default: stop).",
    errors="With --on-error skip: file for the rejected rows and the reasons.",
    resume="With --output: continue after the rows that an earlier run has finished.",
    id="With --input: field or column that is not sent but copied beside the prediction.",
    transport="How to send the request: rest or grpc (default: rest); grpc needs the extra `client`.",
)
def predict(
    model: str = "",
    version: str = "",
    label: str = "",
    signature: str = "",
    instances: str = "",
    inputs: str = "",
    input: str = "",
    image: str = "",
    pixels: str = "unit",
    output: str = "",
    batch_rows: str = "",
    on_error: str = "stop",
    errors: str = "",
    resume: bool = False,
    id: str = "",
    transport: str = "rest",
) -> None:
    """Send a request; by default the YAML's example."""


@verb_task("model.describe.describe", model="Model name (default: every model).")
def describe(model: str = "") -> None:
    """Show signatures, each with an example request."""


@verb_task(
    "quality.verify.verify",
    model="Model name (default: every model).",
    version="Version number (default: the newest served).",
    label="Version label, such as stable.",
    signature="Signature of requests that name none (default: serving_default).",
    from_="File of rows to ask for instead of the golden cases, of any kind that predict --input takes.",
    record="Write the golden cases of the YAML from what the server answers now.",
    force="With --record: replace golden cases that are there.",
    against="URL of another server, or a version or label of this one: its answers are the wanted ones.",
    junit="File for the result as JUnit XML.",
    transport="How to send the requests: rest or grpc (default: rest); grpc needs the extra `client`.",
)
def verify(
    model: str = "",
    version: str = "",
    label: str = "",
    signature: str = "",
    from_: str = "",
    record: bool = False,
    force: bool = False,
    against: str = "",
    junit: str = "",
    transport: str = "rest",
) -> None:
    """Compare the answers with golden cases."""


@verb_task(
    "quality.warmup.warmup",
    model="Model name (default: every model).",
    version="Version number (default: every served one).",
    signature="Signature of requests that name none (default: serving_default).",
    from_="File of rows instead of golden cases or the example, of any kind that predict --input takes.",
    in_place="Also write into a directory of yours that is served in place.",
    force="Replace warm-up requests that the model brought.",
)
def warmup(
    model: str = "",
    version: str = "",
    signature: str = "",
    from_: str = "",
    in_place: bool = False,
    force: bool = False,
) -> None:
    """Write requests that a server sends when it loads a model."""


@verb_task(
    "quality.bench.bench",
    repeatable=["plot"],
    model="Model name; needed only when the YAML has several.",
    version="Version number (default: the newest served).",
    label="Version label, such as stable.",
    signature="Signature name (default: serving_default).",
    transport="How to send the requests: rest or grpc (default: rest).",
    connections="Closed loops, such as 1,4,16,64: each connection sends when its last request is answered.",
    rate="Open loops, such as 200,500: requests per second, timed from the moment when each was due.",
    seconds="Seconds of each load (default: 5).",
    warm_up="Seconds of each load before anything counts (default: 1).",
    rows="Rows a request (default: as the request has them; of a file of rows, one).",
    from_="File of rows or of a request to send (default: golden cases, else the example, else from the signature).",
    processes="Processes of the load generator, which share a load (default: 1).",
    save="File for the result, as JSON; an existing one is replaced.",
    compare="A saved result: show the ratios to it.",
    plot="File for curves: .html or .svg; once or several times.",
    advise="Instead, try batching parameters, each on a server of its own, and name the best.",
)
def bench(
    model: str = "",
    version: str = "",
    label: str = "",
    signature: str = "",
    transport: str = "rest",
    connections: str = "",
    rate: str = "",
    seconds: str = "5",
    warm_up: str = "1",
    rows: str = "",
    from_: str = "",
    processes: str = "1",
    save: str = "",
    compare: str = "",
    plot: Sequence[str] = (),
    advise: bool = False,
) -> None:
    """Measure how fast a model answers, load by load."""


@verb_task("lifecycle.status.status")
def status() -> None:
    """Show the running server, its versions and its uptime."""


@verb_task(
    "lifecycle.logs.logs",
    follow="Stream new lines until Ctrl-C.",
    tail="Show only the last lines, as many as this.",
)
def logs(follow: bool = False, tail: str = "") -> None:
    """Show the model server's log."""


@verb_task(
    "lifecycle.teardown.teardown",
    purge="Also remove the workspace (only one with this tool's marker).",
    image="Also remove the image.",
    orphans="Instead, list and remove servers, of any project, that no workspace claims any more.",
    projects="With --orphans: only projects whose name matches this shell pattern (default: *).",
    yes="With --orphans: remove without confirmation.",
)
def teardown(
    purge: bool = False, image: bool = False, orphans: bool = False, projects: str = "*", yes: bool = False
) -> None:
    """Stop and remove everything with this project's label."""


@verb_task("lifecycle.demo.demo")
def demo() -> None:
    """Run the whole lab: setup, serve, predict, teardown."""


@verb_task(
    "project.doctor.doctor",
    after="Explain the last failure instead: a server that ended, or a failed start.",
    all="Also show the checks that are ok.",
)
def doctor(after: bool = False, all: bool = False) -> None:
    """Check machine and project, or explain the last failure."""


@verb_task("project.configuration.check")
def check() -> None:
    """Check the YAML and show every error at once."""


@verb_task("project.configuration.schema", output="File to write (default: stdout).")
def schema(output: str = "") -> None:
    """Print the JSON Schema of the YAML."""


@verb_task(
    "project.configuration.init",
    repeatable=["model"],
    path="File to write (default: tfs.yaml here).",
    model="NAME=PATH of a model, once or several times.",
)
def init(path: str = "tfs.yaml", model: Sequence[str] = ()) -> None:
    """Write a commented YAML to start from."""


@verb_task(
    "project.image.build",
    tag="Name and tag of the image (default: tfs-workflow/model-server:latest).",
    base="Base image with python3 and pip (default: the Dockerfile's).",
    wheels="Directory of wheels to install from, without a network.",
)
def build(tag: str = "tfs-workflow/model-server:latest", base: str = "", wheels: str = "") -> None:
    """Build an image of the embedded server, for server.image."""


@verb_task(
    "project.convert.convert",
    file="Keras model file: .keras, .h5 or .hdf5; `tfs convert FILE` is the short form.",
    output="Base path to create, with the model as version 1 (default: the file's path without its suffix).",
)
def convert(file: str = "", output: str = "") -> None:
    """Convert a Keras model to a SavedModel; needs TensorFlow."""


@verb_task(
    "project.export.export",
    kind="compose or systemd; `tfs export compose` is the short form.",
    output="File to write (default: stdout).",
    force="Replace the file of --output.",
)
def export(kind: str = "", output: str = "", force: bool = False) -> None:
    """Write a Compose file or a systemd unit of the server."""


def collection() -> Collection:
    """The tasks as `invoke` and `tfs` show them."""
    config = Collection("config", check, schema, init)
    image = Collection("image", build)
    verbs = (
        setup,
        serve,
        predict,
        describe,
        verify,
        warmup,
        bench,
        status,
        logs,
        teardown,
        doctor,
        demo,
        convert,
        export,
    )
    return Collection(*verbs, config, image)
