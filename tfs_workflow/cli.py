"""What each verb loads, does and shows; errors end here in one message and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tfs_workflow import console, views, workflow
from tfs_workflow.atomic import write_whole
from tfs_workflow.config import LoadedConfig, load
from tfs_workflow.errors import ConfigError, Interrupted, WorkflowError
from tfs_workflow.retries import Transfer
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.schema import SCHEMA_NAME, schema_text
from tfs_workflow.serving.client import ServingClient

TERMINATED = 143
TEMPLATE = Path(__file__).parent / "bundled" / "tfs.yaml"


@dataclass(frozen=True)
class Options:
    """The options that every verb has."""

    config: str = ""
    json: bool = False
    verbose: bool = False


def setup(options: Options, *, locked: bool, offline: bool, update: bool) -> None:
    """Prepare everything and show where it is."""
    with _verb(options) as loaded:
        with console.progress_bars() as bars:
            transfer = Transfer(progress=bars, announce=console.note)
            done = workflow.setup(loaded, transfer, locked=locked, offline=offline, update=update)
        _show(options, views.setup_document(done), views.setup_lines(done))


def serve(options: Options, *, follow: bool) -> None:
    """Start the server, show its endpoints and with `follow` its log until Ctrl-C."""
    with _verb(options) as loaded:
        done = workflow.serve(loaded, Transfer(announce=console.note))
        if done.server.exposed:
            ports = f"{done.server.rest_port} and {done.server.grpc_port}"
            console.warn(f"server.expose: ports {ports} are open to the whole network")
        if done.unchanged:
            console.note(f"already running with this configuration, since {done.server.started_at:%F %T} UTC")
        elif done.replaced:
            console.note("the running server had another configuration and was replaced")
        document = views.server_document(done.server, done.models) | {"unchanged": done.unchanged}
        lines = [*views.model_lines(done.server, done.models), views.curl_line(loaded.config, done.server)]
        _show(options, document, lines)
        if follow:
            _follow(loaded, done.server)


def _follow(loaded: LoadedConfig, server: ModelServer) -> None:
    """The log until Ctrl-C, which is the ordinary end here."""
    runtime, _ = workflow.running(loaded)
    try:
        for line in runtime.logs(server, follow=True):
            console.result(line)
        workflow.raise_ended(runtime, server)
    except KeyboardInterrupt:
        console.note("tearing down")
    finally:
        workflow.teardown(loaded, Transfer(announce=console.note))


def status(options: Options) -> None:
    """Show the project's server and its models."""
    with _verb(options) as loaded:
        _, server = workflow.running(loaded)
        with ServingClient(server.rest_url) as client:
            models = {name: client.status(name) for name in loaded.config.models}
        lines = [*views.server_line(server), *views.model_lines(server, models)]
        _show(options, views.server_document(server, models), lines)


def logs(options: Options, *, follow: bool, tail: int) -> None:
    """Show the server's log lines."""
    with _verb(options) as loaded:
        runtime, server = workflow.known(loaded)
        for line in runtime.logs(server, tail=tail or None, follow=follow):
            console.result(line)


def teardown(options: Options, *, purge: bool, image: bool) -> None:
    """Remove what is ours and say what that was."""
    with _verb(options) as loaded:
        done = workflow.teardown(loaded, Transfer(announce=console.note), purge=purge, image=image)
        _show(options, views.teardown_document(done), views.teardown_lines(done))


def config_check(options: Options) -> None:
    """Load the YAML and say that it is good, or everything that is not."""
    with _verb(options) as loaded:
        document = {"path": str(loaded.path), "config": loaded.config.model_dump(mode="json")}
        _show(options, document, [f"{loaded.path}: good"])


def config_schema(output: str) -> None:
    """Print the JSON Schema, or write it to a file."""
    with reported_errors(verbose=False):
        if output:
            _write_new(Path(output), schema_text(), replace=True)
        else:
            console.result(schema_text().rstrip())


def config_init(path: str) -> None:
    """Write the commented YAML, and the schema that its first line names, beside each other."""
    with reported_errors(verbose=False):
        target = Path(path)
        _write_new(target, TEMPLATE.read_text(encoding="utf-8"), replace=False)
        _write_new(target.with_name(SCHEMA_NAME), schema_text(), replace=True)
        console.result(f"{target} and {target.with_name(SCHEMA_NAME)}; next: tfs setup serve --config {target}")


def _write_new(path: Path, text: str, *, replace: bool) -> None:
    if path.exists() and not replace:
        raise ConfigError("exists already, and is left as it is", where=str(path), fix="give another path")
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigError("cannot be written", where=str(path), evidence=str(error.strerror)) from error


def _show(options: Options, document: Any, lines: Iterable[str]) -> None:
    if options.json:
        console.result_json(document)
    else:
        for line in lines:
            console.result(line)


@contextmanager
def _verb(options: Options) -> Iterator[LoadedConfig]:
    """The loaded YAML; an expected error inside ends in one message and its exit code."""
    with reported_errors(options.verbose):
        yield load(options.config or None)


@contextmanager
def reported_errors(verbose: bool) -> Iterator[None]:
    """Expected errors and interrupts end the process here; an unexpected error keeps its traceback."""
    console.set_verbose(verbose)
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except WorkflowError as error:
        console.error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.error("interrupted; what this step had started is removed")
        sys.exit(Interrupted.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (| head); without stdout the interpreter has nothing to complain about.
        sys.stdout = None
        sys.exit(0)
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of a signal handler
    """SIGTERM unwinds like Ctrl-C, so that the same cleaning up happens."""
    raise SystemExit(TERMINATED)
