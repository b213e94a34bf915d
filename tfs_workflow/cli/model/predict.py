"""invoke predict: send a request to the served model and show its predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show, whole_number
from tfs_workflow.cli.model.asked import Asked, check_asked, check_choice, target_of
from tfs_workflow.client.bulk.images import PIXELS, image_row
from tfs_workflow.client.bulk.predict_file import BATCH_ROWS, BulkOptions, predict_file, predict_text
from tfs_workflow.client.bulk.row_source import signature_of
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.client.lost_request import ConnectionBrokenError, add_expectation
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.formats import savedmodel
from tfs_workflow.workflow.model.connection import connected
from tfs_workflow.workflow.model.model_request import model_request, newest_version
from tfs_workflow.workflow.project import running


@dataclass(frozen=True)
class PredictOptions(Asked):
    """The model to call and the request; without a request, the YAML's example is sent."""

    signature: str = ""
    instances: str = ""
    inputs: str = ""
    input: str = ""
    image: str = ""
    pixels: str = "unit"
    output: str = ""
    batch_rows: str = ""
    on_error: str = "stop"
    errors: str = ""
    resume: bool = False
    id: str = ""


def predict(options: CommandOptions, **values: Any) -> None:
    """Send a request to the served model and show its predictions; `values` are the fields of PredictOptions."""
    wanted = PredictOptions(**values)
    with reported_errors(options):
        _check(wanted)
    with project_command(options) as loaded:
        target = replace(target_of(loaded.config, wanted), signature=wanted.signature or None)
        if options.dry_run:
            console.note(f"would send a request to {target.model}")
            return
        _, server = running(loaded)
        with connected(loaded.config, server, wanted.transport) as client:
            if wanted.input:
                _predict_file(client, target, loaded.config, wanted)
            else:
                with _expectation_when_broken(loaded, target):
                    answer = _answer(client, target, loaded, wanted)
                show(options, answer, [json.dumps(answer, ensure_ascii=False)])


def _check(wanted: PredictOptions) -> None:
    given = [f"--{name}" for name in ("instances", "inputs", "input", "image") if getattr(wanted, name)]
    if len(given) > 1:
        raise ConfigError(f"expected one of them, got {' and '.join(given)}", where="predict")
    check_asked(wanted, "predict")
    if wanted.batch_rows:
        whole_number(wanted.batch_rows, "--batch-rows", least=1)
    check_choice("--on-error", wanted.on_error, ("stop", "skip"))
    check_choice("--pixels", wanted.pixels, tuple(PIXELS))
    if not wanted.input:
        _reject_without_input(wanted)


def _reject_without_input(wanted: PredictOptions) -> None:
    bulk = {"output": wanted.output, "errors": wanted.errors, "resume": wanted.resume, "id": wanted.id}
    for name, value in bulk.items():
        if value:
            raise ConfigError(f"--{name} goes with --input", where="predict", fix="redirect stdout instead")


def _answer(client: JsonClient, target: ModelRef, loaded: LoadedConfig, wanted: PredictOptions) -> object:
    if wanted.instances or wanted.inputs:
        return predict_text(client, target, instances=wanted.instances, inputs=wanted.inputs)
    if wanted.image:
        signature = signature_of(client, target)
        row = image_row(wanted.image, signature, wanted.pixels)
        return client.predict_document(target, JsonRequest([row]))
    request = model_request(loaded, target.model, target.signature or "")
    if request.body is None or request.verb != "predict":
        raise ConfigError(
            "no request can be generated for this model",
            where=f"models.{target.model}",
            evidence=request.note or f"its signature is for {request.verb}",
            fix="give --instances, --inputs or --input, or an example in the YAML",
        )
    body = request.body
    document = JsonRequest(body.get("instances"), body.get("inputs"), body.get("signature_name"))
    if loaded.config.models[target.model].example is None:
        console.note(f"sent {_shortened(body)}, generated from the signature")
    return client.predict_document(target, document)


@contextmanager
def _expectation_when_broken(loaded: LoadedConfig, target: ModelRef) -> Iterator[None]:
    """Say what the signature expects, from the model's files, where the server ended under the request."""
    try:
        yield
    except ConnectionBrokenError as error:
        # Over gRPC the client has the signature, and has said so.
        if not error.has_expectation:
            with suppress(WorkflowError):
                tags = savedmodel.served_tags(loaded.config.server.flags)
                signatures = savedmodel.signatures(newest_version(loaded, target.model), tags)
                add_expectation(error, target, signatures)
        raise


def _shortened(body: object) -> str:
    text = json.dumps(body)
    return text if len(text) <= 100 else text[:99] + "…"


def _predict_file(client: JsonClient, target: ModelRef, config: Config, wanted: PredictOptions) -> None:
    bulk = BulkOptions(
        batch_rows=_batch_rows(config, wanted),
        skip_refused=wanted.on_error == "skip",
        errors=wanted.errors,
        resume=wanted.resume,
        id_field=wanted.id,
    )
    with console.progress_bars("rows") as bars:
        rows = predict_file(
            client,
            target,
            wanted.input,
            wanted.output,
            bulk=bulk,
            progress=lambda done, total: bars(wanted.input, done, total),
        )
    if wanted.output:
        console.note(f"{rows} rows in {wanted.output}")


def _batch_rows(config: Config, wanted: PredictOptions) -> int:
    """The rows per request: the option, else at most the server's max_batch_size."""
    if wanted.batch_rows:
        return int(wanted.batch_rows)
    batching = config.server.batching
    return min(BATCH_ROWS, batching.max_batch_size) if batching else BATCH_ROWS
