"""invoke describe: show signatures, types and shapes, each with an example request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tfs_workflow.cli.command import CommandOptions, project_command, show
from tfs_workflow.client.access.credentials import Credentials
from tfs_workflow.client.access.curl import curl_access
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError, ServerNotReadyError, WorkflowError
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.example_features import ParsedFeature
from tfs_workflow.formats.example_request import curl_line, example_request
from tfs_workflow.formats.savedmodel import Signature, served_tags
from tfs_workflow.formats.signature_text import dtype_name, tensor_text
from tfs_workflow.workflow.model.model_request import newest_version
from tfs_workflow.workflow.project import running


@dataclass(frozen=True)
class DescribedModel:
    """A model's URL (before serving, the expected one), its signatures, and the features of its tf.Examples.

    `curl` is the command that reaches the server.
    """

    url: str
    signatures: Mapping[str, Signature]
    features: Sequence[ParsedFeature] = ()
    curl: str = "curl"


def describe(options: CommandOptions, model: str = "") -> None:
    """Show the signatures: from the running server, else from the files that setup fetched."""
    with project_command(options) as loaded:
        if model and model not in loaded.config.models:
            known = ", ".join(loaded.config.models)
            raise ConfigError(f"the YAML has no model {model!r}", where="--model", fix=f"there are: {known}")
        names = [model] if model else list(loaded.config.models)
        found = _described(loaded, names)
        show(options, _document(found), _lines(found))


def _described(loaded: LoadedConfig, names: list[str]) -> dict[str, DescribedModel]:
    try:
        _, server = running(loaded)
    except ServerNotReadyError:
        return {name: _from_files(loaded, name) for name in names}
    credentials = server.credentials()
    curl, address = curl_access(server.rest_url, credentials, server.token_file)
    with RestJsonClient(server.rest_url, credentials=credentials) as client:
        return {
            name: DescribedModel(
                client.model_url(name).replace(server.rest_url, address, 1),
                client.metadata(name),
                _features(loaded, name),
                curl,
            )
            for name in names
        }


def _from_files(loaded: LoadedConfig, name: str) -> DescribedModel:
    server = loaded.config.server
    port = server.rest_port
    address = f"{'https' if server.tls else 'http'}://127.0.0.1:{port if port != 'auto' else 8501}"
    credentials = Credentials(certificate=server.tls.certificate if server.tls else "")
    curl, address = curl_access(address, credentials, server.token_file or "")
    directory = newest_version(loaded, name)
    tags = served_tags(loaded.config.server.flags)
    signatures, features = savedmodel.signatures(directory, tags), savedmodel.features(directory, tags)
    return DescribedModel(f"{address}/v1/models/{name}", signatures, features, curl)


def _features(loaded: LoadedConfig, name: str) -> Sequence[ParsedFeature]:
    """The features, which only the files hold; empty where the files are no longer those that are served."""
    with suppress(WorkflowError):
        return savedmodel.features(newest_version(loaded, name), served_tags(loaded.config.server.flags))
    return ()


def _lines(found: Mapping[str, DescribedModel]) -> Iterator[str]:
    for name, model in found.items():
        yield name
        for signature_name, signature in model.signatures.items():
            yield f"  {signature_name}  ({signature.method or 'no method name'})"
            yield from (f"    input   {tensor_text(key, tensor)}" for key, tensor in signature.inputs.items())
            yield from (f"    output  {tensor_text(key, tensor)}" for key, tensor in signature.outputs.items())
            request = example_request(signature_name, signature, model.features)
            if command := curl_line(model.url, request, model.curl):
                yield f"    {command}"
            if request.note:
                yield f"    ({request.note})"


def _document(found: Mapping[str, DescribedModel]) -> dict[str, Any]:
    return {
        name: {signature: _signature(model, signature) for signature in model.signatures}
        for name, model in found.items()
    }


def _signature(model: DescribedModel, name: str) -> dict[str, Any]:
    signature = model.signatures[name]
    request = example_request(name, signature, model.features)
    return {
        "method": signature.method,
        "inputs": {k: {"dtype": dtype_name(t), "shape": t.shape} for k, t in signature.inputs.items()},
        "outputs": {k: {"dtype": dtype_name(t), "shape": t.shape} for k, t in signature.outputs.items()},
        "example": request.body,
        "curl": curl_line(model.url, request, model.curl),
    }
