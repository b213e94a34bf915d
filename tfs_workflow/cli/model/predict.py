"""invoke predict: ask the served model and show its predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, show, whole_number
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient, Target
from tfs_workflow.client.predict_file import BATCH_ROWS, predict_file, predict_text
from tfs_workflow.client.rows import Document
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.project import running

REST, GRPC = "rest", "grpc"


@dataclass(frozen=True)
class PredictOptions:
    """Whom to ask and what; without any, the request is the example of the YAML."""

    model: str = ""
    version: str = ""
    label: str = ""
    signature: str = ""
    instances: str = ""
    inputs: str = ""
    input: str = ""
    output: str = ""
    batch_rows: str = ""
    transport: str = REST


def predict(options: CommandOptions, **values: str) -> None:
    """Send a request to the served model and show its predictions; `values` are the fields of PredictOptions."""
    wanted = PredictOptions(**values)
    with project_command(options) as loaded:
        _check(wanted)
        target = _target(loaded.config, wanted)
        if options.dry_run:
            console.note(f"would send a request to {target.model}")
            return
        _, server = running(loaded)
        with connect_json(_address(server, wanted)) as client:
            if wanted.input:
                _predict_file(client, target, wanted)
            else:
                answer = _answer(client, target, loaded, wanted)
                show(options, answer, [json.dumps(answer, ensure_ascii=False)])


def _check(wanted: PredictOptions) -> None:
    asked = [f"--{name}" for name in ("instances", "inputs", "input") if getattr(wanted, name)]
    if len(asked) > 1:
        raise ConfigError(f"expected one of them, got {' and '.join(asked)}", where="predict")
    if wanted.version and wanted.label:
        raise ConfigError("expected a version or a label, got both", where="predict")
    if wanted.batch_rows:
        whole_number(wanted.batch_rows, "--batch-rows", least=1)
    if wanted.version and not wanted.version.isdecimal():
        raise ConfigError(f"expected a version number, got {wanted.version!r}", where="--version")
    if wanted.transport not in (REST, GRPC):
        raise ConfigError(f"expected {REST} or {GRPC}, got {wanted.transport!r}", where="--transport")
    if wanted.output and not wanted.input:
        raise ConfigError("--output goes with --input", where="predict", fix="redirect stdout instead")


def _address(server: ModelServer, wanted: PredictOptions) -> str:
    return server.rest_url if wanted.transport == REST else f"grpc://{server.grpc_target}"


def _target(config: Config, wanted: PredictOptions) -> Target:
    version = int(wanted.version) if wanted.version else None
    name = wanted.model or _only_model(config)
    if name not in config.models:
        there = ", ".join(config.models)
        raise ConfigError(f"the YAML has no model {name!r}", where="--model", fix=f"there are: {there}")
    return Target(name, version, wanted.label or None, wanted.signature or None)


def _only_model(config: Config) -> str:
    if len(config.models) > 1:
        raise ConfigError(
            "the YAML has several models", where="predict", fix=f"choose one: --model {' | '.join(config.models)}"
        )
    return next(iter(config.models))


def _answer(client: JsonClient, target: Target, loaded: LoadedConfig, wanted: PredictOptions) -> object:
    if wanted.instances or wanted.inputs:
        return predict_text(client, target, instances=wanted.instances, inputs=wanted.inputs)
    example = loaded.config.models[target.model].example
    if example is None:
        raise ConfigError(
            "nothing to ask: the YAML has no example for this model",
            where=f"models.{target.model}.example",
            fix="give --instances, --inputs or --input; invoke describe shows a request that fits",
        )
    return client.predict_document(target, Document(example.instances, example.inputs, example.signature))


def _predict_file(client: JsonClient, target: Target, wanted: PredictOptions) -> None:
    with console.progress_bars("rows") as bars:
        rows = predict_file(
            client,
            target,
            wanted.input,
            wanted.output,
            batch_rows=int(wanted.batch_rows or BATCH_ROWS),
            progress=lambda done: bars(wanted.input, done, None),
        )
    if wanted.output:
        console.note(f"{rows} rows in {wanted.output}")
