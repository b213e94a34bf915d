"""The configurations between two sets of models: as data, since every server has to accept each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec, model_config
from tfs_workflow.workflow.plan.reload_steps import Change, texts

M = ModelSpec("m", Path("/m"))
OTHER = ModelSpec("other", Path("/other"))
STABLE_1, STABLE_2 = (("stable", 1),), (("stable", 2),)


def spec(*models: ModelSpec) -> ServerSpec:
    return ServerSpec("p", "embedded", models)


def text(*models: ModelSpec) -> str:
    return model_config(models, lambda model: str(model.base_path))


def steps(change: Change, path: Path) -> list[str]:
    path.write_text(text(*change.before))
    return texts(change, lambda one: text(*one.models), path)


def test_a_moved_label_is_one_step(tmp_path: Path) -> None:
    before = replace(M, latest=0, labels=STABLE_1)
    after = replace(before, labels=STABLE_2)
    change = Change([before], spec(after), {"m": [1, 2]}, {"m": [1, 2]})
    assert steps(change, tmp_path / "f") == [text(after)]
    assert change.removed() == {}


def test_a_label_that_moves_to_a_version_that_is_not_loaded_yet_waits_for_it(tmp_path: Path) -> None:
    before = replace(M, latest=None, versions=(1,), labels=STABLE_1)
    after = replace(M, latest=None, versions=(2,), labels=STABLE_2)
    change = Change([before], spec(after), {"m": [1]}, {"m": [2]})
    both = replace(before, versions=(1, 2))
    assert steps(change, tmp_path / "f") == [text(both), text(replace(both, labels=STABLE_2)), text(after)]
    assert change.removed() == {"m": [1]}


def test_a_policy_that_keeps_what_is_served_needs_no_step_between(tmp_path: Path) -> None:
    before = replace(M, labels=STABLE_2)
    after = replace(before, latest=0, labels=())
    change = Change([before], spec(after), {"m": [2]}, {"m": [1, 2]})
    assert steps(change, tmp_path / "f") == [text(replace(after, labels=STABLE_2)), text(after)]


def test_a_new_model_is_there_before_its_label_and_before_another_goes(tmp_path: Path) -> None:
    labelled = replace(OTHER, labels=STABLE_1)
    change = Change([M], spec(labelled), {"m": [1]}, {"other": [1]})
    assert steps(change, tmp_path / "f") == [text(OTHER, M), text(labelled, M), text(labelled)]
    assert change.removed() == {"m": [1]}


def test_where_nothing_changes_the_wanted_configuration_is_loaded_once_more(tmp_path: Path) -> None:
    assert steps(Change([M], spec(M), {"m": [1]}, {"m": [1]}), tmp_path / "f") == [text(M)]


def test_a_file_that_somebody_changed_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("no configuration")
    change = Change([M], spec(M), {"m": [1]}, {"m": [1]})
    assert texts(change, lambda one: text(*one.models), path) == [text(M)]
