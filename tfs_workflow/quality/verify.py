"""Asks a running server for golden cases, and compares its answers with the recorded ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tfs_workflow.client.interface import JsonClient, ModelRef, RequestRejectedError
from tfs_workflow.config.types import Tolerance
from tfs_workflow.formats.savedmodel import Signature
from tfs_workflow.quality.answers.comparison import Comparison, compare
from tfs_workflow.quality.answers.fit import fit
from tfs_workflow.quality.answers.outputs import outputs
from tfs_workflow.quality.answers.report import CaseResult, ModelReport
from tfs_workflow.quality.asking import answer, signature_of_case
from tfs_workflow.quality.cases import Case


def verify(client: JsonClient, target: ModelRef, cases: Iterable[Case], tolerance: Tolerance) -> ModelReport:
    """Ask one model for every case and compare; raises where the server gives no usable answer at all."""
    report = ModelReport(target)
    for result in verified(client, target, cases, tolerance):
        report.results.append(result)
    return report


def verified(client: JsonClient, target: ModelRef, cases: Iterable[Case], tolerance: Tolerance) -> Iterator[CaseResult]:
    """The result of each case as soon as it is there.

    A case without a response is checked for types, shapes and finite numbers. A rejected request is a result, too.
    Raises ServerUnreachableError and PredictionFailedError where no usable answer comes, PredictionFailedError for a
    signature that the model does not have.
    """
    signatures = client.metadata(target.model, target.version, target.label)
    for case in cases:
        signature = signature_of_case(case, target, signatures)
        started_s = time.perf_counter()
        try:
            response = answer(client, target, case, signature)
        except RequestRejectedError as error:
            yield CaseResult(case, error=str(error), seconds=time.perf_counter() - started_s)
            continue
        seconds = time.perf_counter() - started_s
        yield CaseResult(case, _compared(case, response, signature, tolerance), seconds=seconds)


def recorded(client: JsonClient, target: ModelRef, cases: Iterable[Case]) -> Iterator[Case]:
    """The same requests, each with this server's response; raises as `verified`, and where a request is rejected."""
    signatures = client.metadata(target.model, target.version, target.label)
    for case in cases:
        response = answer(client, target, case, signature_of_case(case, target, signatures))
        yield replace(case, response=response)


def _compared(case: Case, response: dict[str, object], signature: Signature, tolerance: Tolerance) -> Comparison:
    got = outputs(response, signature)
    if case.response is not None:
        return compare(outputs(case.response, signature), got, tolerance)
    rows = case.request.get("instances")
    return fit(got, signature, len(rows) if rows else None)
