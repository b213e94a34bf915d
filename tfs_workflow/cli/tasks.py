"""The tasks: a table of contents of the verbs.

`invoke` parses the options; everything else is imported when a task runs, so that `invoke --list` stays quick.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from tfs_workflow.cli.signals import arm

# ruff: noqa: PLC0415, ARG001, PLR0913, PLR0917  # imports wait for their task; invoke reads options off parameters

Body = Callable[..., None]

COMMON = {
    "config": "Path of the YAML (default: $TFS_CONFIG, else config/tfs.yaml, else tfs.yaml).",
    "json": "Print the result as one JSON document on stdout.",
    "verbose": "Show debug lines, and the traceback of an unexpected error.",
}


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage or plugins: there are none, and looking costs a sixth of the time."""
    arm()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def command(**options: str) -> Callable[[Body], Task[Any]]:
    """An invoke task with the common options; `options` are the help texts of its own."""
    return _task(options | COMMON)


def _task(options: dict[str, str]) -> Callable[[Body], Task[Any]]:
    return cast("Callable[[Body], Task[Any]]", task(help=options, auto_shortflags=False))


@command(
    locked="Fail on any difference from the lock file: commit, file hashes, image digest.",
    offline="Touch no network; use what is here.",
    update="Fetch again what is here already, such as a branch that moved.",
)
def setup(
    c: Context,
    locked: bool = False,
    offline: bool = False,
    update: bool = False,
    config: str = "",
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Make the workspace, fetch the models, pull the image."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.lifecycle import setup as verb

    verb.setup(command.Options(config, json, verbose), locked=locked, offline=offline, update=update)


@command(follow="Stream the server's log until Ctrl-C, then tear down.")
def serve(c: Context, follow: bool = False, config: str = "", json: bool = False, verbose: bool = False) -> None:
    """Start the server; return once every model is AVAILABLE."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.lifecycle import serve as verb

    verb.serve(command.Options(config, json, verbose), follow=follow)


@command(
    model="Model name; needed only when the YAML has several.",
    version="Version number (default: the newest served).",
    label="Version label, such as stable.",
    signature="Signature name (default: serving_default).",
    instances="JSON list in row format, such as '[1.0, 2.0, 5.0]'.",
    inputs="JSON in column format: one value per input tensor.",
    input="File of rows: .jsonl (one instance a line, streamed), .json, or - for JSON lines on stdin.",
    output="File for the predictions (default: stdout); appears only when whole.",
    batch_rows="Rows a request when streaming (default: 512).",
    transport="How to ask: rest or grpc (default: rest); grpc needs the extra `client`.",
)
def predict(
    c: Context,
    model: str = "",
    version: str = "",
    label: str = "",
    signature: str = "",
    instances: str = "",
    inputs: str = "",
    input: str = "",
    output: str = "",
    batch_rows: int = 512,
    transport: str = "rest",
    config: str = "",
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Ask the served model; by default the YAML's example."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.model import predict as verb

    question = verb.Question(model, version, label, signature, instances, inputs, input, output, batch_rows, transport)
    verb.predict(command.Options(config, json, verbose), question)


@command(model="Model name (default: every model).")
def describe(c: Context, model: str = "", config: str = "", json: bool = False, verbose: bool = False) -> None:
    """Show signatures, each with an example request."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.model import describe as verb

    verb.describe(command.Options(config, json, verbose), model)


@command()
def status(c: Context, config: str = "", json: bool = False, verbose: bool = False) -> None:
    """Show what runs, with which versions, since when."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.lifecycle import status as verb

    verb.status(command.Options(config, json, verbose))


@command(follow="Go on until the server ends or Ctrl-C.", tail="Show only the last lines (a number of lines).")
def logs(
    c: Context, follow: bool = False, tail: int = 0, config: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Show the model server's log."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.lifecycle import logs as verb

    verb.logs(command.Options(config, json, verbose), follow=follow, tail=tail)


@command(
    purge="Also remove the workspace (only one with our marker).",
    image="Also remove the image.",
    orphans="Instead, list and remove servers of any project that no workspace claims any more.",
    projects="With --orphans: only projects of such names, a shell pattern (default: *).",
    yes="With --orphans: do not ask.",
)
def teardown(
    c: Context,
    purge: bool = False,
    image: bool = False,
    orphans: bool = False,
    projects: str = "*",
    yes: bool = False,
    config: str = "",
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Stop and remove what bears this project's label."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.lifecycle import teardown as verb

    options = command.Options(config, json, verbose)
    if orphans:
        verb.teardown_orphans(options, projects, yes=yes)
    else:
        verb.teardown(options, purge=purge, image=image)


@command()
def demo(c: Context, config: str = "", json: bool = False, verbose: bool = False) -> None:
    """Run the whole lab: setup, serve, predict, teardown."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.lifecycle import demo as verb

    verb.demo(command.Options(config, json, verbose))


@command(after="Explain the last failure instead: of a server that ended, or of a start.")
def doctor(c: Context, after: bool = False, config: str = "", json: bool = False, verbose: bool = False) -> None:
    """Check what serving needs, or explain what failed."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.project import doctor as verb

    (verb.after if after else verb.doctor)(command.Options(config, json, verbose))


@command()
def check(c: Context, config: str = "", json: bool = False, verbose: bool = False) -> None:
    """Check the YAML and show every error at once."""
    with quick_imports():
        from tfs_workflow.cli import command
        from tfs_workflow.cli.project import configuration

    configuration.check(command.Options(config, json, verbose))


@_task({"output": "File to write (default: stdout)."})
def schema(c: Context, output: str = "") -> None:
    """Print the JSON Schema of the YAML."""
    with quick_imports():
        from tfs_workflow.cli.project import configuration

    configuration.schema(output)


@_task({"path": "File to write (default: tfs.yaml here)."})
def init(c: Context, path: str = "tfs.yaml") -> None:
    """Write a commented YAML to start from."""
    with quick_imports():
        from tfs_workflow.cli.project import configuration

    configuration.init(path)


@_task(
    {
        "tag": "Name and tag of the image (default: tfs-workflow/model-server:latest).",
        "base": "Base image with python3 and pip (default: the Dockerfile's).",
        "wheels": "Directory of wheels to install from, without a network.",
        "verbose": "Show every line of the build.",
    }
)
def build(
    c: Context,
    tag: str = "tfs-workflow/model-server:latest",
    base: str = "",
    wheels: str = "",
    verbose: bool = False,
) -> None:
    """Build the embedded server's own image, for server.image."""
    with quick_imports():
        from tfs_workflow.cli.project import image as verb

    verb.build(tag, base, wheels, verbose)


def collection() -> Collection:
    """The tasks as `invoke` and `tfs` show them."""
    config = Collection("config", check, schema, init)
    image = Collection("image", build)
    return Collection(setup, serve, predict, describe, status, logs, teardown, doctor, demo, config, image)
