"""The request that shows a model at work: the YAML's example, else one made from the model's files.

A tool that serves an unknown model should be able to show that it works. The signature gives types and shapes, from
which a request can be built in most cases; its values are placeholders, so the answer shows that the model computes and
not that it computes well. An example in the YAML is always better, and comes first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfs_workflow.checks import is_tflite, served_directories
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Model
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats import savedmodel, savedmodel_errors
from tfs_workflow.formats.example_request import ExampleRequest, example_request
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature, served_tags
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.setup_record import require_setup
from tfs_workflow.workflow.project import require_workspace, server_spec


def model_request(loaded: LoadedConfig, name: str, signature: str = "") -> ExampleRequest:
    """A request that the model answers; without a body, and with the reason, where none can be made.

    `signature` is the one to call where the YAML has no example; empty is the default one, else the first. Raises
    PredictionFailedError for a signature that the model does not have, ConfigError before setup.
    """
    example = _of_the_yaml(loaded.config.models[name])
    if example is not None:
        return example
    directory = newest_version(loaded, name)
    if is_tflite(directory) and not savedmodel_errors.is_saved_model(directory):
        return ExampleRequest("predict", None, "only a TensorFlow Lite model is there, whose signature is not read")
    tags = served_tags(loaded.config.server.flags)
    signatures = savedmodel.signatures(directory, tags)
    chosen = signature or (DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in signatures else next(iter(signatures), ""))
    if chosen not in signatures:
        there = f"there are: {', '.join(signatures)}" if signatures else "export the model with a signature"
        raise PredictionFailedError(f"there is no signature {chosen or DEFAULT_SIGNATURE}", where=name, fix=there)
    if operation := _ends_on_a_guess(directory, signatures[chosen]):
        note = f"the signature leaves a rank open, and the model's {operation} ends the server on a wrong one"
        return ExampleRequest("predict", None, note)
    return example_request(chosen, signatures[chosen], savedmodel.features(directory, tags))


def _ends_on_a_guess(directory: Path, signature: Signature) -> str:
    """The operation that would end the server on a wrong guess of a rank; empty where none is guessed, or none would.

    Raises OSError.
    """
    path = directory / "saved_model.pb"
    if all(tensor.shape is not None for tensor in signature.inputs.values()) or not path.is_file():
        return ""
    return savedmodel.rank_checked_operation(path.read_bytes(), "")


def newest_version(loaded: LoadedConfig, name: str) -> Path:
    """The directory of the newest served version; raises ConfigError before setup, InvalidModelError without one."""
    workspace = require_workspace(loaded)
    record = require_setup(read_state(workspace).setup, loaded.config)
    (model,) = (model for model in server_spec(loaded.config, record, workspace).models if model.name == name)
    return served_directories(model)[-1]


def _of_the_yaml(model: Model) -> ExampleRequest | None:
    if model.example is None:
        return None
    body: dict[str, Any] = model.example.model_dump(exclude_none=True)
    if name := body.pop("signature", None):
        body = {"signature_name": name} | body
    return ExampleRequest("predict", body)
