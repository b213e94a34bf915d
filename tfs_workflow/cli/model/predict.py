"""invoke predict: ask the served model and show its predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tfs_workflow.cli import console
from tfs_workflow.cli.command import Options, show, verb
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
class Question:
    """Whom to ask and what; the empty question asks the example of the YAML."""

    model: str = ""
    version: str = ""
    label: str = ""
    signature: str = ""
    instances: str = ""
    inputs: str = ""
    input: str = ""
    output: str = ""
    batch_rows: int = BATCH_ROWS
    transport: str = REST


def predict(options: Options, question: Question) -> None:
    """Ask the served model and show its predictions."""
    with verb(options) as loaded:
        _check(question)
        target = _target(loaded.config, question)
        _, server = running(loaded)
        with connect_json(_address(server, question)) as client:
            if question.input:
                _predict_file(client, target, question)
            else:
                answer = _answer(client, target, loaded, question)
                show(options, answer, [json.dumps(answer, ensure_ascii=False)])


def _check(question: Question) -> None:
    asked = [f"--{name}" for name in ("instances", "inputs", "input") if getattr(question, name)]
    if len(asked) > 1:
        raise ConfigError(f"expected one of them, got {' and '.join(asked)}", where="predict")
    if question.version and question.label:
        raise ConfigError("expected a version or a label, got both", where="predict")
    if question.version and not question.version.isdecimal():
        raise ConfigError(f"expected a version number, got {question.version!r}", where="--version")
    if question.transport not in (REST, GRPC):
        raise ConfigError(f"expected {REST} or {GRPC}, got {question.transport!r}", where="--transport")
    if question.output and not question.input:
        raise ConfigError("--output goes with --input", where="predict", fix="redirect stdout instead")


def _address(server: ModelServer, question: Question) -> str:
    return server.rest_url if question.transport == REST else f"grpc://{server.grpc_target}"


def _target(config: Config, question: Question) -> Target:
    version = int(question.version) if question.version else None
    name = question.model or _only_model(config)
    if name not in config.models:
        there = ", ".join(config.models)
        raise ConfigError(f"the YAML has no model {name!r}", where="--model", fix=f"there are: {there}")
    return Target(name, version, question.label or None, question.signature or None)


def _only_model(config: Config) -> str:
    if len(config.models) > 1:
        raise ConfigError(
            "the YAML has several models", where="predict", fix=f"choose one: --model {' | '.join(config.models)}"
        )
    return next(iter(config.models))


def _answer(client: JsonClient, target: Target, loaded: LoadedConfig, question: Question) -> object:
    if question.instances or question.inputs:
        return predict_text(client, target, instances=question.instances, inputs=question.inputs)
    example = loaded.config.models[target.model].example
    if example is None:
        raise ConfigError(
            "nothing to ask: the YAML has no example for this model",
            where=f"models.{target.model}.example",
            fix="give --instances, --inputs or --input; invoke describe shows a request that fits",
        )
    return client.predict_document(target, Document(example.instances, example.inputs, example.signature))


def _predict_file(client: JsonClient, target: Target, question: Question) -> None:
    with console.progress_bars("rows") as bars:
        rows = predict_file(
            client,
            target,
            question.input,
            question.output,
            batch_rows=question.batch_rows,
            progress=lambda done: bars(question.input, done, None),
        )
    if question.output:
        console.note(f"{rows} rows in {question.output}")
