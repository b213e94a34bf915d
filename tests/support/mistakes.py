"""What users get wrong: models, requests, options; a class of tests over a fixture named `lab`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.faults import servers


class Mistakes:
    """One message with the next step, the documented exit code, and nothing started."""

    @pytest.mark.parametrize(
        ("broken", "words"),
        [
            (models.without_version, "no version directory"),
            (models.version_named_v01, "'v0.1' is not a plain number"),
            (models.corrupt, "not a SavedModel"),
            (models.empty_saved_model, "not a SavedModel"),
            (models.keras_file, "not a SavedModel but a Keras model file"),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_a_broken_model_is_found_before_anything_starts(
        self, lab: CommandLine, broken: Callable[[Path], Path], words: str
    ) -> None:
        lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(broken(lab.directory))}]
        message = lab.fails(4, "setup")
        assert words in message
        assert "next step: " in message
        assert servers(lab) == []

    def test_a_saved_model_without_version_directories_is_served_in_place(self, lab: CommandLine) -> None:
        flat = models.saved_model_at_the_root(lab.directory)
        lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(flat)}]
        lab.ok("setup", "serve")
        assert json.loads(lab.ok("predict", "--instances", "[1.0]")) == [2.5]
        assert lab.ok_json("status")["models"]["half_plus_two"][0]["version"] == 1
        lab.config["models"]["half_plus_two"]["version"] = 7
        lab.ok("setup", "serve")
        assert json.loads(lab.ok("predict", "--instances", "[1.0]", "--version", "7")) == [2.5]
        assert sorted(path.name for path in flat.iterdir() if path.name.isdigit()) == []
        lab.ok("teardown", "--purge")
        assert (flat / "saved_model.pb").is_file()

    def test_a_model_that_breaks_after_setup_is_found_by_serve(self, lab: CommandLine) -> None:
        base_path = models.good(lab.directory)
        lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(base_path)}]
        lab.ok("setup")
        (base_path / "1" / "saved_model.pb").write_bytes(b"\xff\xff")
        assert "not a SavedModel" in lab.fails(4, "serve")
        assert servers(lab) == []

    def test_versions_and_labels_that_are_not_there_are_named_with_those_that_are(self, lab: CommandLine) -> None:
        lab.config["models"]["half_plus_two"]["versions"] = [7]
        assert "holds version 123" in lab.fails(4, "setup")
        lab.config["models"]["half_plus_two"] |= {"versions": "latest", "labels": {"stable": 7}}
        assert "label stable names version 7" in lab.fails(4, "setup")

    def test_requests_that_the_model_refuses_end_in_its_own_words(self, lab: CommandLine) -> None:
        lab.ok("setup", "serve")
        wrong_type = lab.fails(6, "predict", "--instances", '["a"]')
        assert "is not of expected type: float" in wrong_type
        assert "expects x: float32" in wrong_type
        assert "Expecting tensor size" in lab.fails(6, "predict", "--instances", "[[1.0, 2.0], [3.0]]")
        assert "nope" in lab.fails(6, "predict", "--signature", "nope")
        assert "99" in lab.fails(6, "predict", "--version", "99")
        self.malformed_questions(lab)
        self.rows_of_a_file(lab)

    def malformed_questions(self, lab: CommandLine) -> None:
        assert "--instances" in lab.fails(6, "predict", "--instances", "[1.0,")
        assert "half_plus_two" in lab.fails(2, "predict", "--model", "nope")
        assert "got both" in lab.fails(2, "predict", "--version", "1", "--label", "stable")
        assert "expected one of them" in lab.fails(2, "predict", "--instances", "[1]", "--inputs", "[1]")
        assert "nowhere.jsonl" in lab.fails(2, "predict", "--input", "nowhere.jsonl")

    def rows_of_a_file(self, lab: CommandLine) -> None:
        rows = lab.directory / "rows.jsonl"
        rows.write_text("1.0\n2.0\n5.0\n")
        assert lab.ok("predict", "--input", str(rows)).splitlines() == ["2.5", "3.0", "4.5"]
        assert lab.ok("predict", "--input", "-", stdin="1.0\n").splitlines() == ["2.5"]
        rows.write_text('1.0\n"a"\n5.0\n')
        output = lab.directory / "out.jsonl"
        assert "row 2" in lab.fails(6, "predict", "--input", str(rows), "--output", str(output))
        assert not output.exists()

    def test_describe_tells_the_signatures_before_and_after_serving(self, lab: CommandLine) -> None:
        lab.ok("setup")
        before = lab.ok_json("describe")["half_plus_two"]["serving_default"]
        assert before["inputs"]["x"]["dtype"] == "float32"
        lab.ok("serve")
        after = lab.ok_json("describe")["half_plus_two"]["serving_default"]
        assert {**after, "curl": ""} == {**before, "curl": ""}
        body = json.dumps(after["example"])
        assert body in after["curl"]
        assert "half_plus_two" in lab.fails(2, "describe", "--model", "nope")

    def test_every_mistake_of_the_yaml_is_told_at_once(self, lab: CommandLine) -> None:
        lab.config["server"] |= {"rest_port": "eighty", "imaeg": "x"}
        message = lab.fails(2, "setup")
        assert "server.rest_port: expected a port" in message
        assert "imaeg" in message
        assert "image" in message
        assert message.count("tfs.yaml:") == 2
