"""The requests of a load: rows of a file, else golden cases, else the YAML's example or one made from the signature."""

from __future__ import annotations

from itertools import islice

from tfs_workflow.client.bulk.row_source import signature_of
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.errors import ConfigError
from tfs_workflow.quality.cases import Case
from tfs_workflow.workflow.model.requests import Requests, golden_cases

# A load needs different requests, not all of a file.
_MOST_CASES = 10_000


def asked_requests(loaded: LoadedConfig, client: JsonClient, target: ModelRef, source: str = "") -> list[JsonRequest]:
    """The requests in their order, of a file of rows one for each row.

    Raises ConfigError where none can be made, MalformedInputError for a file that is not JSON or holds no rows.
    """
    golden = {} if source else golden_cases(loaded.config, [target])
    cases = Requests([target], golden, source).of(loaded, target, lambda: signature_of(client, target))
    return [_request(case) for case in islice(cases, _MOST_CASES)]


def _request(case: Case) -> JsonRequest:
    body = case.request
    if "examples" in body:
        raise ConfigError("a load is of predict requests, and this one is to classify or regress", where=case.where)
    return JsonRequest(body.get("instances"), body.get("inputs"), case.signature or None)
