"""Changes that a running server takes without an outage; a class of tests over a fixture named `lab`."""

from __future__ import annotations

import json
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.support import models
from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.faults import kill, servers
from tests.support.load import load_on
from tests.support.modelserver import graphs
from tests.support.waiting import until

LABEL = "/v1/models/half_plus_two/labels/stable:predict"
LATEST = "/v1/models/half_plus_two:predict"


def archived(directory: Path, *versions: str) -> list[dict[str, str]]:
    """A source that brings these versions of the model into the workspace."""
    base_path = models.good(directory, *versions)
    return archive_of(base_path)


def archive_of(base_path: Path) -> list[dict[str, str]]:
    path = base_path.parent / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(base_path, ".")
    return [{"archive": str(path)}]


def served_versions(lab: CommandLine, model: str = "half_plus_two") -> list[int]:
    found = lab.ok_json("status")["models"][model]
    return sorted(version["version"] for version in found if version["state"] == "AVAILABLE")


def reload(lab: CommandLine, *words: str) -> dict[str, Any]:
    """Run serve, which must reload the same server, and leave no drift."""
    before = lab.ok_json("status")["id"]
    document: dict[str, Any] = json.loads(lab.ok(*words, "serve", "--json").splitlines()[-1]) if words else {}
    document = document or lab.ok_json("serve")
    assert document["id"] == before
    assert document["reloaded"], document
    assert document["replaced"] == []
    assert document["seconds_without_answers"] is None
    assert lab.ok_json("status")["drift"] == []
    return document


class Reloads:
    """Labels, policies and models change under load, and every request is answered."""

    def two_versions(self, lab: CommandLine) -> dict[str, Any]:
        """The model with two versions, both served, and a label on the first."""
        (lab.directory / "two").mkdir()
        model: dict[str, Any] = lab.config["models"]["half_plus_two"]
        model |= {"source": archived(lab.directory / "two", "1", "2"), "versions": "all", "labels": {"stable": 1}}
        return model

    def test_labels_policies_and_models_change_under_load_without_a_lost_request(self, lab: CommandLine) -> None:
        model = self.two_versions(lab)
        lab.ok("setup")
        url = lab.ok_json("serve")["rest_url"]
        with load_on(url, LABEL, LATEST) as load:
            model["labels"] = {"stable": 2}
            reload(lab)
            lab.config["models"]["other"] = {"source": [{"bundled": "half_plus_two"}], "labels": {"first": 123}}
            reload(lab, "setup")
            # The label moves to a version that is loaded and unloaded by the same change.
            model |= {"versions": [1], "labels": {"stable": 1}}
            reload(lab)
            assert served_versions(lab) == [1]
            model |= {"versions": [2], "labels": {"stable": 2}}
            reload(lab)
            assert served_versions(lab) == [2]
            del lab.config["models"]["other"]
            reload(lab)
            model["versions"] = {"latest": 2}
            reload(lab)
            assert served_versions(lab) == [1, 2]
        assert load.failures == []
        assert load.answered > 100

    def test_a_reload_is_planned_and_shown_with_its_fix(self, lab: CommandLine) -> None:
        model = self.two_versions(lab)
        lab.ok("setup", "serve")
        model["labels"] = {"stable": 2}
        (found,) = lab.ok_json("status")["drift"]
        assert found["evidence"] == "its labels were stable = 1, are stable = 2"
        assert (found["fix"], found["by_reload"]) == ("run tfs serve, which reloads it", True)
        plan = lab.ok_json("serve", "--dry-run")
        assert (plan["action"], len(plan["running"])) == ("reload", 1)
        assert "would reload the running" in lab.ok("serve", "--dry-run")
        assert "reloaded the running server: configuration: models.half_plus_two: its labels" in lab.run("serve").stderr
        assert lab.ok_json("serve")["unchanged"] is True

    def test_a_model_that_fails_to_load_leaves_what_served_before(self, lab: CommandLine) -> None:
        lab.ok("setup", "serve")
        before, file = lab.ok_json("status"), lab.workspace / "serving" / "models.config"
        text = file.read_text()
        broken = graphs.unknown_op(lab.directory / "broken" / "1").parent
        lab.config["models"]["broken"] = {"source": archive_of(broken)}
        lab.ok("setup")
        message = lab.fails(5, "serve")
        assert "the server refused the configuration" in message, message
        assert "the former configuration serves again, after " in message
        assert file.read_text() == text
        assert json.loads(lab.ok("predict", "--model", "half_plus_two")) == [2.5, 3.0, 4.5]
        del lab.config["models"]["broken"]
        assert lab.ok_json("serve")["unchanged"] is True
        assert lab.ok_json("status")["id"] == before["id"]

    def begun(self, lab: CommandLine) -> subprocess.Popen[str]:
        """A `serve` that adds a model which computes for long while it is loaded."""
        file = lab.workspace / "serving" / "models.config"
        slow = graphs.toiling(lab.directory / "slow" / "1", products=6).parent
        lab.config["models"]["slow"] = {"source": archive_of(slow)}
        lab.ok("setup")
        process = lab.start("serve")
        until(lambda: "slow" in file.read_text(), process)
        return process

    def serves_as_before(self, lab: CommandLine, configured: str) -> None:
        assert (lab.workspace / "serving" / "models.config").read_text() == configured
        del lab.config["models"]["slow"]
        assert json.loads(lab.ok("predict")) == [2.5, 3.0, 4.5]
        assert lab.ok_json("serve")["unchanged"] is True
        assert len(servers(lab)) == 1

    def test_an_interrupted_reload_returns_to_what_served_before(self, lab: CommandLine) -> None:
        lab.ok("setup", "serve")
        before = (lab.workspace / "serving" / "models.config").read_text()
        process = self.begun(lab)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
        assert process.returncode == 130, message
        self.serves_as_before(lab, before)

    def test_a_server_that_ends_during_a_reload_is_started_again_as_it_was(self, lab: CommandLine) -> None:
        lab.ok("setup")
        url = lab.ok_json("serve")["rest_url"]
        before = (lab.workspace / "serving" / "models.config").read_text()
        process = self.begun(lab)
        kill(servers(lab)[0])
        _, message = process.communicate(timeout=60)
        assert process.returncode == 5, message
        assert "the former configuration serves again, after " in message
        self.serves_as_before(lab, before)
        assert lab.ok_json("status")["rest_url"] == url

    def test_a_version_that_fails_to_load_leaves_what_served_before(self, lab: CommandLine) -> None:
        (lab.directory / "two").mkdir()
        base_path = models.good(lab.directory / "two", "1")
        graphs.unknown_op(base_path / "2")
        model = lab.config["models"]["half_plus_two"]
        model |= {"source": archive_of(base_path), "versions": [1]}
        lab.ok("setup", "serve")
        model["versions"] = [1, 2]
        message = lab.fails(5, "serve")
        assert "version 2 ended instead of becoming AVAILABLE" in message
        assert "the former configuration serves again, after " in message
        model["versions"] = [1]
        assert lab.ok_json("serve")["unchanged"] is True
        assert lab.ok_json("status")["drift"] == []

    def test_a_reload_that_was_cut_short_is_followed_by_another_server_or_engine(self, lab: CommandLine) -> None:
        lab.ok("setup", "serve")
        path = lab.workspace / "state.json"
        state = json.loads(path.read_text())
        state["served"]["is_reloading"] = True
        path.write_text(json.dumps(state))
        (found,) = lab.ok_json("status")["drift"]
        assert (found["kind"], found["by_reload"]) == ("reload", False)
        document = lab.ok_json("serve")
        assert [one["kind"] for one in document["replaced"] or document["switched"]] == ["reload"]
        assert lab.ok_json("status")["drift"] == []

    def test_a_model_file_that_somebody_changed_is_written_again(self, lab: CommandLine) -> None:
        lab.ok("setup", "serve")
        path = lab.workspace / "serving" / "models.config"
        text = path.read_text()
        path.write_text(text + "# changed\n")
        reload(lab)
        assert path.read_text() == text

    def test_a_flag_that_keeps_the_server_from_a_reload_is_named(self, lab: CommandLine) -> None:
        lab.config["server"]["flags"] = {"file_system_poll_wait_seconds": 0}
        model = self.two_versions(lab)
        lab.ok("setup", "serve")
        model["labels"] = {"stable": 2}
        document = lab.ok_json("serve")
        (reason,) = document["replaced"] or document["switched"]
        assert "a flag in server.flags keeps the server from a reload" in reason["evidence"]
        assert (document["seconds_without_answers"] is None) is bool(document["switched"])

    def test_a_failed_replacement_is_said_with_the_state_of_the_former_server(self, lab: CommandLine) -> None:
        model = self.two_versions(lab)
        lab.ok("setup", "serve")
        model["labels"] = {"stable": 2}
        reload(lab)
        # A variable needs another server, whatever the runtime.
        lab.config["server"] |= {"flags": NEVER_READY, "environment": {"A": "1"}, "ready_timeout_s": 3.0}
        message = lab.fails(5, "serve")
        if lab.config["runtime"] == "docker":  # the trial failed
            assert "the former server was not stopped" in message
        else:
            assert "the former server runs again, AVAILABLE after " in message
        # It was restarted with the configuration that was reloaded, or runs on.
        assert json.loads(lab.ok("predict", "--label", "stable")) == [2.5, 3.0, 4.5]
        del lab.config["server"]["flags"], lab.config["server"]["environment"]
        assert lab.ok_json("serve")["unchanged"] is True
        lab.config["server"]["environment"] = {"A": "1"}
        assert "replaced: " in lab.run("serve").stderr
