"""invoke predict: send a request to the served model and show its predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show, whole_number
from tfs_workflow.client.access.server_certificate import server_certificate
from tfs_workflow.client.bulk.images import PIXELS, image_row
from tfs_workflow.client.bulk.predict_file import BATCH_ROWS, BulkOptions, predict_file, predict_text, signature_of
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.client.lost_request import ConnectionBrokenError, add_expectation
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.formats import savedmodel
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.model.model_request import model_request, newest_version
from tfs_workflow.workflow.project import running

REST, GRPC = "rest", "grpc"


@dataclass(frozen=True)
class PredictOptions:
    """The model to call and the request; without a request, the YAML's example is sent."""

    model: str = ""
    version: str = ""
    label: str = ""
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
    transport: str = REST


def predict(options: CommandOptions, **values: Any) -> None:
    """Send a request to the served model and show its predictions; `values` are the fields of PredictOptions."""
    wanted = PredictOptions(**values)
    with reported_errors(options):
        _check(wanted)
    with project_command(options) as loaded:
        target = _target(loaded.config, wanted)
        if options.dry_run:
            console.note(f"would send a request to {target.model}")
            return
        _, server = running(loaded)
        with _connected(loaded, server, wanted) as client:
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
    if wanted.version and wanted.label:
        raise ConfigError("expected a version or a label, got both", where="predict")
    if wanted.version:
        whole_number(wanted.version, "--version")
    if wanted.batch_rows:
        whole_number(wanted.batch_rows, "--batch-rows", least=1)
    _check_choice("--transport", wanted.transport, (REST, GRPC))
    _check_choice("--on-error", wanted.on_error, ("stop", "skip"))
    _check_choice("--pixels", wanted.pixels, tuple(PIXELS))
    if not wanted.input:
        _reject_without_input(wanted)


def _check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"expected {' or '.join(choices)}, got {value!r}", where=option)


def _reject_without_input(wanted: PredictOptions) -> None:
    bulk = {"output": wanted.output, "errors": wanted.errors, "resume": wanted.resume, "id": wanted.id}
    for name, value in bulk.items():
        if value:
            raise ConfigError(f"--{name} goes with --input", where="predict", fix="redirect stdout instead")


def _connected(loaded: LoadedConfig, server: ModelServer, wanted: PredictOptions) -> JsonClient:
    """The client for the transport; over gRPC with TLS where the server has a certificate."""
    credentials = server.credentials()
    if wanted.transport == REST:
        return connect_json(server.rest_url, credentials=credentials)
    path = str(loaded.config.server.flags.get("ssl_config_file", ""))
    if not path:
        return connect_json(
            f"{'grpcs' if server.certificate else 'grpc'}://{server.grpc_target}", credentials=credentials
        )
    certificate = server_certificate(Path(path), server.grpc_target)
    return connect_json(f"grpcs://{server.grpc_target}", certificate=certificate, credentials=credentials)


def _target(config: Config, wanted: PredictOptions) -> ModelRef:
    version = int(wanted.version) if wanted.version else None
    name = wanted.model or _only_model(config)
    if name not in config.models:
        names = ", ".join(config.models)
        raise ConfigError(f"the YAML has no model {name!r}", where="--model", fix=f"there are: {names}")
    return ModelRef(name, version, wanted.label or None, wanted.signature or None)


def _only_model(config: Config) -> str:
    if len(config.models) > 1:
        raise ConfigError(
            "the YAML has several models", where="predict", fix=f"choose one: --model {' | '.join(config.models)}"
        )
    return next(iter(config.models))


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
