"""The requests to send to a model or to warm it up with: rows that were given, else golden cases, else an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfs_workflow.client.interface import ModelRef
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError
from tfs_workflow.formats.savedmodel import Signature
from tfs_workflow.quality.cases import Case, cases_of_rows, read_cases
from tfs_workflow.workflow.model.model_request import model_request


@dataclass(frozen=True)
class Requests:
    """The models, the golden cases by model name, and a file of rows to take instead."""

    targets: Sequence[ModelRef]
    golden: Mapping[str, Sequence[Case]] = field(default_factory=dict)
    rows: str = ""

    def of(self, loaded: LoadedConfig, target: ModelRef, signature: Callable[[], Signature]) -> Iterator[Case]:
        """The requests for one model; ConfigError where none can be made. A table of rows needs the `signature`."""
        if self.rows:
            yield from cases_of_rows(self.rows, target, signature)
        elif target.model in self.golden:
            yield from self.golden[target.model]
        else:
            yield _generated(loaded, target)


def golden_cases(config: Config, targets: Iterable[ModelRef], *, may_be_missing: bool = False) -> dict[str, list[Case]]:
    """The golden cases of those models that have some; raises as `read_cases` does.

    A file that `may_be_missing` is one that was not recorded yet.
    """
    paths = {target.model: config.models[target.model].golden for target in targets}
    wanted = {name: path for name, path in paths.items() if path and not (may_be_missing and not Path(path).exists())}
    return {name: read_cases(path) for name, path in wanted.items()}


def _generated(loaded: LoadedConfig, target: ModelRef) -> Case:
    """The YAML's example, else a request made from the signature."""
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
