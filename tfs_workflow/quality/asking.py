"""Sends a case's request over either transport, and gives the response in the form of REST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import ConfigError, PredictionFailedError
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, REGRESS_METHOD, Signature
from tfs_workflow.formats.signature_text import expectation
from tfs_workflow.quality.cases import Case


def signature_of_case(case: Case, target: ModelRef, signatures: Mapping[str, Signature]) -> Signature:
    """The signature that a case calls; raises PredictionFailedError where the model has none of that name."""
    name = case.signature or target.signature or DEFAULT_SIGNATURE
    if name not in signatures:
        raise PredictionFailedError(expectation(target.model, name, signatures), where=case.where)
    return signatures[name]


def answer(client: JsonClient, target: ModelRef, case: Case, signature: Signature) -> dict[str, Any]:
    """The response to a case's request, such as {"predictions": […]}; raises as the client does.

    Classification and regression go over REST alone, else ConfigError.
    """
    if "examples" in case.request:
        return _results(client, target, case, "regress" if signature.method == REGRESS_METHOD else "classify")
    body = case.request
    document = JsonRequest(body.get("instances"), body.get("inputs"), case.signature or None)
    found = client.predict_document(replace(target, signature=case.signature or target.signature), document)
    return {"outputs" if document.instances is None else "predictions": found}


def _results(client: JsonClient, target: ModelRef, case: Case, verb: str) -> dict[str, Any]:
    if not isinstance(client, RestJsonClient):
        raise ConfigError(f"{verb} goes over REST alone here", where=case.where, fix="--transport rest")
    found = client.send(target, verb, case.request)
    if "results" not in found:
        raise PredictionFailedError("the answer has no results", where=case.where, evidence=str(found)[:200])
    return {"results": found["results"]}
