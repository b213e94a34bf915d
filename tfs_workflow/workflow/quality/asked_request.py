"""The request that a model is asked with: rows of a file, the YAML's example, or one made from its signature."""

from __future__ import annotations

from itertools import islice
from json import loads

from tfs_workflow.client import rows
from tfs_workflow.client.bulk.row_source import STDIN, numbered_rows, opened, signature_of
from tfs_workflow.client.bulk.tables import is_table
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError
from tfs_workflow.workflow.model.model_request import model_request

# A load needs different rows, not all of a file.
MOST_ROWS = 10_000


def asked_request(loaded: LoadedConfig, client: JsonClient, target: ModelRef, source: str = "") -> JsonRequest:
    """The request from a file of rows or of one request, where one is named, else from the YAML or the signature.

    Raises ConfigError where none can be made, MalformedInputError for a file that is not JSON or holds no rows.
    """
    if source:
        return _from_file(client, target, source)
    request = model_request(loaded, target.model, target.signature or "")
    if request.body is None or request.verb != "predict":
        raise ConfigError(
            "no request can be generated for this model",
            where=f"models.{target.model}",
            evidence=request.note or f"its signature is for {request.verb}",
            fix="give rows with --from, or an example in the YAML",
        )
    body = request.body
    return JsonRequest(body.get("instances"), body.get("inputs"), body.get("signature_name"))


def _from_file(client: JsonClient, target: ModelRef, source: str) -> JsonRequest:
    name = "stdin" if source == STDIN else source
    with opened(source) as stream:
        if not is_table(source) and rows.is_document(stream, source):
            return rows.read_document(stream, name)
        numbered = numbered_rows(source, stream, lambda: signature_of(client, target))
        instances = [loads(text) for _, text in islice(numbered, MOST_ROWS)]
    if not instances:
        raise rows.no_rows(name)
    return JsonRequest(instances)
