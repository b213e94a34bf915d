"""The configurations that lead from the served models to the wanted ones, each of which a server accepts.

TensorFlow Serving accepts a moved label only where its version is AVAILABLE (server_core.cc), and it may unload a
version before it moves the label away from it. One configuration for both would be refused, or lose requests. So what
is new is added first, then the labels move, and only then goes what is not wanted any more. Where nothing of a step
changes, the step is left out: a moved label, or an added model, is one reload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

Versions = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Change:
    """The models before and after a reload, the versions that are AVAILABLE before, and those that must be after it."""

    before: Sequence[ModelSpec]
    after: ServerSpec
    serving: Versions
    wanted: Versions

    def steps(self) -> Iterator[ServerSpec]:
        """Each configuration, the wanted one last."""
        for models in (self._added(), self._labelled(), self.after.models):
            yield replace(self.after, models=tuple(models))

    def removed(self) -> dict[str, list[int]]:
        """The versions that are AVAILABLE before and not wanted after, by model."""
        found = {}
        for model in self.before:
            gone = set(self.serving.get(model.name, ())) - set(self.wanted.get(model.name, ()))
            if gone:
                found[model.name] = sorted(gone)
        return found

    def _added(self) -> Iterator[ModelSpec]:
        """What is served, with what is new; a label of a new model waits for its version."""
        old = {model.name: model for model in self.before}
        for model in self.after.models:
            yield self._covering(old[model.name], model) if model.name in old else replace(model, labels=())
        yield from self._going()

    def _labelled(self) -> Iterator[ModelSpec]:
        labels = {model.name: model.labels for model in self.after.models}
        yield from (replace(model, labels=labels.get(model.name, model.labels)) for model in self._added())

    def _covering(self, old: ModelSpec, new: ModelSpec) -> ModelSpec:
        """The model with the old labels, and with a policy that serves the old versions and the new ones."""
        versions = set(self.serving.get(old.name, ())) | set(self.wanted.get(old.name, ()))
        if versions == set(self.wanted.get(old.name, ())) or (old.latest, old.versions) == (new.latest, new.versions):
            return replace(new, labels=old.labels)
        return replace(new, labels=old.labels, latest=None, versions=tuple(sorted(versions)))

    def _going(self) -> Iterator[ModelSpec]:
        """The models that are not wanted any more."""
        names = {model.name for model in self.after.models}
        yield from (model for model in self.before if model.name not in names)


def texts(change: Change, model_config: Callable[[ServerSpec], str], path: Path) -> list[str]:
    """The configuration file of each step that changes something after the one at `path`; the last one always."""
    found: list[str] = []
    configured = path.read_text(encoding="utf-8") if path.is_file() else ""
    for step in change.steps():
        text = model_config(step)
        if text != (found[-1] if found else configured):
            found.append(text)
    wanted = model_config(change.after)
    return found if found and found[-1] == wanted else [*found, wanted]
