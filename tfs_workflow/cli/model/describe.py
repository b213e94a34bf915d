"""invoke describe: signatures, types and shapes, and an example request for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfs_workflow.checks import served_directories
from tfs_workflow.cli.command import CommandOptions, project_command, show
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError, ServerNotReadyError
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.example_request import curl_line, example_request
from tfs_workflow.formats.savedmodel import Signature
from tfs_workflow.formats.signature_text import dtype_name, tensor_text
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.setup_record import require_setup
from tfs_workflow.workflow.project import require_workspace, running, server_spec

Described = Mapping[str, tuple[str, Mapping[str, Signature]]]


def describe(options: CommandOptions, model: str = "") -> None:
    """Show the signatures: from the running server, else from the files that setup fetched."""
    with project_command(options) as loaded:
        if model and model not in loaded.config.models:
            there = ", ".join(loaded.config.models)
            raise ConfigError(f"the YAML has no model {model!r}", where="--model", fix=f"there are: {there}")
        names = [model] if model else list(loaded.config.models)
        found = _described(loaded, names)
        show(options, _document(found), _lines(found))


def _described(loaded: LoadedConfig, names: list[str]) -> Described:
    """By model name: the model's address (a likely one before serving) and its signatures."""
    try:
        _, server = running(loaded)
    except ServerNotReadyError:
        return _from_files(loaded, names)
    with RestJsonClient(server.rest_url) as client:
        return {name: (client.model_url(name), client.metadata(name)) for name in names}


def _from_files(loaded: LoadedConfig, names: list[str]) -> Described:
    config = loaded.config
    record = require_setup(read_state(require_workspace(loaded)).setup, config)
    rest_port = config.server.rest_port if config.server.rest_port != "auto" else 8501
    found: dict[str, tuple[str, Mapping[str, Signature]]] = {}
    for model in server_spec(config, record).models:
        if model.name in names:
            *_, newest = served_directories(model)
            address = f"http://127.0.0.1:{rest_port}/v1/models/{model.name}"
            found[model.name] = (address, savedmodel.signatures(newest))
    return found


def _lines(found: Described) -> Iterator[str]:
    for model, (url, signatures) in found.items():
        yield model
        for name, signature in signatures.items():
            yield f"  {name}  ({signature.method or 'no method name'})"
            yield from (f"    input   {tensor_text(key, tensor)}" for key, tensor in signature.inputs.items())
            yield from (f"    output  {tensor_text(key, tensor)}" for key, tensor in signature.outputs.items())
            request = example_request(name, signature)
            if command := curl_line(url, request):
                yield f"    {command}"
            if request.note:
                yield f"    ({request.note})"


def _document(found: Described) -> dict[str, Any]:
    return {
        model: {name: _signature(url, name, signature) for name, signature in signatures.items()}
        for model, (url, signatures) in found.items()
    }


def _signature(url: str, name: str, signature: Signature) -> dict[str, Any]:
    request = example_request(name, signature)
    return {
        "method": signature.method,
        "inputs": {k: {"dtype": dtype_name(t), "shape": t.shape} for k, t in signature.inputs.items()},
        "outputs": {k: {"dtype": dtype_name(t), "shape": t.shape} for k, t in signature.outputs.items()},
        "example": request.body,
        "curl": curl_line(url, request),
    }
