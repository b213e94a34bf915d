"""verify: which cases each model is asked, of which server, and what its answers are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from tfs_workflow.client.bulk.row_source import signature_of
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.quality.answers.report import ModelReport, Report
from tfs_workflow.quality.cases import Case
from tfs_workflow.quality.verify import recorded, verified
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.model.connection import REST, connected
from tfs_workflow.workflow.model.requests import Requests


@dataclass(frozen=True)
class Verification(Requests):
    """What is asked of whom.

    `against` is the URL of another server, or a version or label of this one, whose answers are the wanted ones.
    """

    transport: str = REST
    against: str = ""


def verify_models(loaded: LoadedConfig, server: ModelServer, wanted: Verification, report: Report) -> None:
    """Ask every model, and add each result to the report as soon as it is there: it is right where an error ends this.

    Raises what a client raises where no usable answer comes, and ConfigError where there is no request to send.
    """
    with ExitStack() as stack:
        client = stack.enter_context(connected(loaded.config, server, wanted.transport))
        other = stack.enter_context(connect_json(wanted.against)) if "://" in wanted.against else client
        for target in wanted.targets:
            model = ModelReport(target, reference=wanted.against)
            report.models.append(model)
            cases = _cases(loaded, client, target, wanted)
            if wanted.against:
                cases = recorded(other, _reference(target, wanted.against), cases)
            for result in verified(client, target, cases, loaded.config.models[target.model].tolerance):
                model.results.append(result)


def record_models(loaded: LoadedConfig, server: ModelServer, wanted: Verification) -> dict[str, list[Case]]:
    """By model name the cases with the responses of this server; raises as `verify_models`, and if one is rejected."""
    with connected(loaded.config, server, wanted.transport) as client:
        return {
            target.model: list(recorded(client, target, _cases(loaded, client, target, wanted)))
            for target in wanted.targets
        }


def _reference(target: ModelRef, against: str) -> ModelRef:
    """What is asked for the wanted answers: the same of another server, else another version of this one."""
    if "://" in against:
        return target
    if against.isdecimal():
        return replace(target, version=int(against), label=None)
    return replace(target, version=None, label=against)


def _cases(loaded: LoadedConfig, client: JsonClient, target: ModelRef, wanted: Verification) -> Iterator[Case]:
    return wanted.of(loaded, target, lambda: signature_of(client, target))
