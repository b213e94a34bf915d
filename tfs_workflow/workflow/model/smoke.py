"""One request to each model after a start: AVAILABLE says that a model is loaded, an answer says that it works.

A model without values for its variables, or with an operation that fails, can become AVAILABLE all the same. Only a
request shows it. A failure does not undo the start: the request may be at fault, and other models of the server work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfs_workflow.client.interface import ModelRef
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import PredictionFailedError, WorkflowError
from tfs_workflow.formats.example_request import ExampleRequest
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.model.model_request import model_request

if TYPE_CHECKING:
    from tfs_workflow.client.rest_json import RestJsonClient


@dataclass(frozen=True)
class SmokeResult:
    """How a model answered: `error` is None where it did, `skipped` the reason where no request can be made.

    `request` is None where making it failed.
    """

    model: str
    request: ExampleRequest | None = None
    error: WorkflowError | None = None
    skipped: str = ""


def smoke_test(loaded: LoadedConfig, server: ModelServer) -> Iterator[SmokeResult]:
    """Send the example of the YAML, or one made from the signature, to each model that does not opt out.

    One result for each model, as soon as it is there, in the YAML's order. Raises what a client raises where the server
    itself cannot be reached.
    """
    from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415  # while it is imported, the server starts

    with RestJsonClient(server.rest_url, credentials=server.credentials()) as client:
        for name, model in loaded.config.models.items():
            if model.smoke:
                yield _result(loaded, client, name)


def _result(loaded: LoadedConfig, client: RestJsonClient, name: str) -> SmokeResult:
    request: ExampleRequest | None = None
    try:
        request = model_request(loaded, name)
        # A note marks placeholders that the model may well reject: its error would prove nothing.
        if request.body is None or request.note:
            return SmokeResult(name, request, skipped=request.note)
        client.send(ModelRef(name), request.verb, request.body)
    except PredictionFailedError as error:
        return SmokeResult(name, request, error)
    return SmokeResult(name, request)
