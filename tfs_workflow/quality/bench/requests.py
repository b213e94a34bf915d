"""The requests of a load, as the bytes that its transport sends; made once, before anything is measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit

from tfs_workflow.client.interface import ModelRef
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import ConfigError
from tfs_workflow.formats.savedmodel import Signature
from tfs_workflow.protos.services import PREDICT

# So many different requests are enough to defeat any cache, and few enough to prepare.
MOST_REQUESTS = 256


def with_rows(request: JsonRequest, rows: int) -> list[JsonRequest]:
    """The request as it is for 0 rows, else requests of so many rows each, which take the given rows in turn.

    Raises ConfigError for a request in column format, whose rows are not told apart.
    """
    if not rows:
        return [request]
    if request.instances is None:
        raise ConfigError(
            "the request is in column format, whose rows are not told apart",
            where="--rows",
            fix="leave it out, or give rows with --from",
        )
    given: list[Any] = request.instances
    count = min(MOST_REQUESTS, max(1, len(given) // rows))
    endless = cycle(given)
    return [JsonRequest(list(islice(endless, rows)), None, request.signature) for _ in range(count)]


def rest_bodies(target: ModelRef, requests: Sequence[JsonRequest]) -> tuple[bytes, ...]:
    """Each request as a JSON document."""
    return tuple(json.dumps(_document(target, one)).encode() for one in requests)


def rest_path(client: RestJsonClient, target: ModelRef) -> str:
    """The path that predictions of the target are sent to."""
    return urlsplit(client.predict_url(target.model, target.version, target.label)).path


def grpc_bodies(target: ModelRef, requests: Sequence[JsonRequest], signature: Signature) -> tuple[bytes, ...]:
    """Each request as a PredictRequest; raises InvalidInputError where its values do not fit the signature."""
    # numpy is needed here only.
    from tfs_workflow.client.json_codec import from_inputs, from_instances  # noqa: PLC0415
    from tfs_workflow.client.tensor_codec import predict_request  # noqa: PLC0415

    bodies = []
    for one in requests:
        specs = signature.inputs
        arrays = from_inputs(one.inputs, specs) if one.instances is None else from_instances(one.instances, specs)
        bodies.append(predict_request(target, arrays, specs).SerializeToString())
    return tuple(bodies)


def grpc_path() -> str:
    """The path that predictions are sent to."""
    return PREDICT.path


def rows_of(request: JsonRequest) -> int:
    """The rows of a request in row format; 0 for one in columns."""
    return 0 if request.instances is None else len(request.instances)


def _document(target: ModelRef, request: JsonRequest) -> dict[str, Any]:
    signature = target.signature or request.signature
    head = {"signature_name": signature} if signature else {}
    return head | ({"inputs": request.inputs} if request.instances is None else {"instances": request.instances})
