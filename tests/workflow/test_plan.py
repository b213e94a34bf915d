"""Plans are plain data: compared here, printed by `--dry-run`, and made without any effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.faults import servers
from tfs_workflow.client.interface import State, VersionStatus
from tfs_workflow.config.load import LoadedConfig, load
from tfs_workflow.errors import ConfigError, InvalidModelError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec
from tfs_workflow.state.records import ServedRecord
from tfs_workflow.workflow.plan.difference import Drift
from tfs_workflow.workflow.plan.drift import served_record
from tfs_workflow.workflow.plan.observation import ObservedServer, as_served
from tfs_workflow.workflow.plan.plan import PlannedAction, RemovalPlan, ServerPlan, plan_server
from tfs_workflow.workflow.remove import plan_remove
from tfs_workflow.workflow.start import plan_serve

AVAILABLE = {"m": [VersionStatus(1, State.AVAILABLE)]}
ENDED = {"m": [VersionStatus(1, State.AVAILABLE), VersionStatus(2, State.END, "INTERNAL", "no")]}


@pytest.fixture
def spec(tmp_path: Path) -> ServerSpec:
    return ServerSpec("p", "native", (ModelSpec("m", models.good(tmp_path)),))


@pytest.fixture
def server(spec: ServerSpec) -> ModelServer:
    return ModelServer("native", "1", "p", spec.digest(), 1, 2, datetime.now(timezone.utc))


@pytest.fixture
def served(spec: ServerSpec, server: ModelServer) -> ServedRecord:
    return served_record(server, spec, {"m": [1]}, {})


def planned(spec: ServerSpec, action: PlannedAction, *running: ModelServer, **more: tuple[object, ...]) -> ServerPlan:
    plan = ServerPlan(action, "p", "native", spec.digest(), running)
    return replace(plan, **more)  # type: ignore[arg-type]


def test_where_nothing_runs_one_is_started(spec: ServerSpec) -> None:
    plan = plan_server(spec, [], None)
    assert plan == planned(spec, PlannedAction.START)
    assert list(plan.lines()) == [f"start the native server with spec {spec.digest()}"]


def test_what_ended_is_removed_first(spec: ServerSpec, server: ModelServer) -> None:
    ended = replace(server, exit_code=1)
    assert plan_server(spec, [ObservedServer(ended)], None) == planned(spec, PlannedAction.START, ended=(ended,))


def test_the_wanted_server_is_kept(spec: ServerSpec, server: ModelServer, served: ServedRecord) -> None:
    plan = plan_server(spec, [ObservedServer(server, AVAILABLE)], served)
    assert plan == planned(spec, PlannedAction.KEEP, server)
    assert list(plan.lines()) == ["keep the running native server 1"]


def test_a_server_that_does_not_answer_yet_is_kept_and_waited_for(spec: ServerSpec, server: ModelServer) -> None:
    assert plan_server(spec, [ObservedServer(server)], None) == planned(spec, PlannedAction.KEEP, server)


def test_a_changed_key_replaces_it_and_is_named(spec: ServerSpec, server: ModelServer, served: ServedRecord) -> None:
    wanted = replace(spec, metrics=True)
    reason = Drift("configuration", "server.metrics", "was false, is true")
    plan = plan_server(wanted, [ObservedServer(server)], served)
    assert plan == planned(wanted, PlannedAction.REPLACE, server, reasons=(reason,))
    assert list(plan.lines()) == [
        "replace the running native server 1",
        f"  because of {reason}",
        f"start the native server with spec {wanted.digest()}",
    ]
    assert json.loads(json.dumps(plan.document()))["reasons"][0]["where"] == "server.metrics"


def test_a_changed_file_and_a_version_that_ended_replace_it(
    spec: ServerSpec, server: ModelServer, served: ServedRecord
) -> None:
    (spec.models[0].base_path / "1" / "new.txt").write_text("x")
    reasons = plan_server(spec, [ObservedServer(server, ENDED)], served).reasons
    assert [(one.kind, one.where) for one in reasons] == [("model files", "models.m"), ("version", "models.m v2")]


def relabelled(spec: ServerSpec) -> ServerSpec:
    return replace(spec, models=(replace(spec.models[0], labels=(("stable", 1),)),))


def test_what_a_running_server_can_take_reloads_it(spec: ServerSpec, server: ModelServer, served: ServedRecord) -> None:
    wanted = relabelled(spec)
    evidence = "its labels were none, are stable = 1"
    reason = Drift("configuration", "models.m", evidence, "run invoke serve, which reloads it", by_reload=True)
    plan = plan_server(wanted, [ObservedServer(server, AVAILABLE)], served)
    assert plan == planned(wanted, PlannedAction.RELOAD, server, reasons=(reason,))
    assert list(plan.lines()) == ["reload the running native server 1", f"  because of {reason}"]


def test_a_reload_beside_a_change_that_needs_another_server_is_part_of_its_replacement(
    spec: ServerSpec, server: ModelServer, served: ServedRecord
) -> None:
    plan = plan_server(replace(relabelled(spec), metrics=True), [ObservedServer(server)], served)
    assert plan.action is PlannedAction.REPLACE
    assert [(one.where, one.by_reload) for one in plan.reasons] == [("server.metrics", False), ("models.m", False)]


def test_a_server_that_does_not_answer_is_replaced_and_not_reloaded(
    spec: ServerSpec, server: ModelServer, served: ServedRecord
) -> None:
    assert plan_server(relabelled(spec), [ObservedServer(server)], served).action is PlannedAction.REPLACE


def test_a_server_on_another_machine_is_replaced_since_it_reads_copies(
    spec: ServerSpec, server: ModelServer, served: ServedRecord
) -> None:
    elsewhere = ObservedServer(replace(server, host="192.0.2.1"), AVAILABLE)
    for wanted in (relabelled(spec).models, (replace(spec.models[0], content="other"),)):
        plan = plan_server(replace(spec, models=wanted), [elsewhere], served)
        assert plan.action is PlannedAction.REPLACE
        assert "the server reads copies on another machine" in plan.reasons[0].evidence


def test_another_base_path_replaces_it_since_a_loaded_version_is_not_loaded_again(
    spec: ServerSpec, server: ModelServer, served: ServedRecord, tmp_path: Path
) -> None:
    moved = replace(spec, models=(replace(spec.models[0], base_path=models.good(tmp_path / "other")),))
    plan = plan_server(moved, [ObservedServer(server, AVAILABLE)], served)
    assert plan.action is PlannedAction.REPLACE
    assert "loaded versions keep their files" in plan.reasons[0].evidence


def test_a_server_without_a_record_is_kept_only_where_its_models_are_configured(
    spec: ServerSpec, server: ModelServer
) -> None:
    assert plan_server(spec, [ObservedServer(server, AVAILABLE)], None).action is PlannedAction.KEEP
    other = ObservedServer(server, AVAILABLE, is_configured=False)
    assert plan_server(spec, [other], None).action is PlannedAction.REPLACE


def test_a_trial_that_was_left_is_removed(spec: ServerSpec, server: ModelServer) -> None:
    trial = replace(server, on_trial=True)
    assert plan_server(spec, [ObservedServer(trial)], None) == planned(spec, PlannedAction.START, ended=(trial,))


def test_a_second_server_is_a_replacement_without_a_reason(spec: ServerSpec, server: ModelServer) -> None:
    second = replace(server, id="2")
    plan = plan_server(spec, [ObservedServer(server), ObservedServer(second)], None)
    assert plan == planned(spec, PlannedAction.REPLACE, server, second)


def test_an_embedded_server_switches_to_what_another_engine_can_have(spec: ServerSpec, server: ModelServer) -> None:
    spec, server = replace(spec, runtime="embedded"), replace(server, runtime="embedded")
    served = served_record(server, spec, {"m": [1]}, {})
    upgraded = replace(spec, metrics=True, tensorflow="2.21.0", flags=(("num_load_threads", "2"),))
    plan = plan_server(upgraded, [ObservedServer(server)], served)
    assert plan.action is PlannedAction.SWITCH
    assert next(iter(plan.lines())) == "switch the running embedded server 1"
    for more in ({"flags": (("fronts", "2"),)}, {"expose": True}, {"environment": (("A", "1"),)}, {"rest_port": 9}):
        wanted = replace(spec, metrics=True, **more)
        assert plan_server(wanted, [ObservedServer(server)], served).action is PlannedAction.REPLACE


def test_a_server_that_was_switched_is_kept(spec: ServerSpec, server: ModelServer) -> None:
    served = replace(served_record(server, spec, {"m": [1]}, {}), digest=spec.digest())
    before = replace(server, digest="that of its start")
    assert as_served(before, served) == server
    assert as_served(replace(before, id="2"), served).digest == "that of its start"


def test_a_removal_lists_what_goes(server: ModelServer) -> None:
    plan = RemovalPlan((server,), Path("/w"), "tensorflow/serving:2.20.0")
    assert list(plan.lines()) == [
        "stop and remove native server 1",
        "remove workspace /w",
        "remove image tensorflow/serving:2.20.0",
    ]
    assert json.loads(json.dumps(plan.document()))["servers"] == [
        {"runtime": "native", "id": "1", "spec": server.digest}
    ]
    assert list(RemovalPlan().lines()) == ["nothing to remove"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


def configured(lab: CommandLine) -> LoadedConfig:
    lab.argv()  # writes the YAML
    return load(lab.directory / "tfs.yaml", environ={})


def content(workspace: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time, so that a write is seen, too; the server's own log excepted."""
    files = (path for path in workspace.rglob("*") if path.is_file() and path.suffix != ".log")
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_plans_of_a_real_project_change_nothing(lab: CommandLine) -> None:
    with pytest.raises(ConfigError, match="not set up yet"):
        plan_serve(configured(lab))
    assert plan_remove(configured(lab), purge=True) == RemovalPlan()
    lab.ok("setup")
    before = content(lab.workspace)
    assert plan_serve(configured(lab)).action is PlannedAction.START
    assert plan_remove(configured(lab), purge=True) == RemovalPlan(workspace=lab.workspace)
    assert content(lab.workspace) == before
    lab.ok("serve")
    before, (server,) = content(lab.workspace), servers(lab)
    kept = plan_serve(configured(lab))
    assert (kept.action, [one.id for one in kept.running]) == (PlannedAction.KEEP, [server.id])
    lab.config["server"]["metrics"] = True
    replaced = plan_serve(configured(lab))
    assert (replaced.action, [one.where for one in replaced.reasons]) == (PlannedAction.SWITCH, ["server.metrics"])
    assert [one.id for one in plan_remove(configured(lab)).servers] == [server.id]
    assert content(lab.workspace) == before
    assert [one.id for one in servers(lab)] == [server.id]


def test_a_plan_fails_where_serve_would(lab: CommandLine) -> None:
    base_path = models.good(lab.directory)
    lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(base_path)}]
    lab.ok("setup")
    (base_path / "1" / "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(InvalidModelError):
        plan_serve(configured(lab))
