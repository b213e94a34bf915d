"""verify: which cases each model is asked, of which server, and what its answers are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError
from tfs_workflow.quality.cases import Case, cases_of_rows, read_cases
from tfs_workflow.quality.report import ModelReport, Report
from tfs_workflow.quality.verify import recorded, verified
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.workflow.model.connection import REST, connected
from tfs_workflow.workflow.model.model_request import model_request


@dataclass(frozen=True)
class Verification:
    """What is asked of whom: the models, the golden cases by model name, and a file of rows to ask instead.

    `against` is the URL of another server, or a version or label of this one, whose answers are the wanted ones.
    """

    targets: Sequence[ModelRef]
    golden: Mapping[str, Sequence[Case]] = field(default_factory=dict)
    rows: str = ""
    transport: str = REST
    against: str = ""


def golden_cases(config: Config, targets: Iterable[ModelRef]) -> dict[str, list[Case]]:
    """The golden cases of those models that have some; raises as `read_cases` does."""
    paths = {target.model: config.models[target.model].golden for target in targets}
    return {name: read_cases(path) for name, path in paths.items() if path}


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
    """The rows that were given, else the golden cases, else one request of the YAML or made from the signature."""
    if wanted.rows:
        yield from cases_of_rows(client, target, wanted.rows)
    elif target.model in wanted.golden:
        yield from wanted.golden[target.model]
    else:
        yield _generated(loaded, target)


def _generated(loaded: LoadedConfig, target: ModelRef) -> Case:
    request = model_request(loaded, target.model, target.signature or "")
    if request.body is None or request.note:
        raise ConfigError(
            "no request can be generated for this model",
            where=f"models.{target.model}",
            evidence=request.note,
            fix="give golden cases in the YAML, or rows with --from",
        )
    from_yaml = loaded.config.models[target.model].example is not None
    return Case(request.body, "the YAML's example" if from_yaml else "a request made from the signature")
