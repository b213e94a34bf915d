"""The life of versions: policies, load before unload, failures, retries, and what the status says."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import LISTENING, launched, serving

LOADED = r"Successfully loaded servable version \{{name: half_plus_two version: {}\}}"
UNLOADED = r"Done unloading servable version \{{name: half_plus_two version: {}\}}"


def base(path: Path) -> tuple[str, ...]:
    return (f"--model_base_path={path}", "--model_name=half_plus_two", "--max_num_load_retries=0")


def config(path: Path, *models: str) -> str:
    path.write_text("model_config_list {" + "".join(f"config {{ {model} }}" for model in models) + "}")
    return f"--model_config_file={path}"


def test_a_newer_version_replaces_the_older_which_ends_without_error(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m")) as server:
        assert server.predict([1.0]) == [2.0]
        graphs.plus(tmp_path / "m" / "2", 2)
        server.wait_for(UNLOADED.format(1))
        assert server.predict([1.0]) == [3.0]
        _, answer = server.get("/v1/models/half_plus_two")
        assert answer["model_version_status"] == [
            {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "1", "state": "END", "status": {"error_code": "OK", "error_message": ""}},
        ]
        lines = "\n".join(server.lines)
        assert lines.index("loaded servable version {name: half_plus_two version: 2}") < lines.index(
            "Unloading servable version {name: half_plus_two version: 1}"
        )


def test_no_request_is_lost_while_versions_change(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m")) as server:
        answers, stop = [], threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answers.append(server.predict([1.0]))

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        for number in range(2, 6):
            graphs.plus(tmp_path / "m" / str(number), number)
            server.wait_for(UNLOADED.format(number - 1))
        stop.set()
        for thread in asking:
            thread.join()
        assert {str(answer) for answer in answers} <= {f"[{number + 1}.0]" for number in range(1, 6)}
        assert server.predict([1.0]) == [6.0]


def test_a_corrupt_newer_version_is_reported_and_the_good_one_serves_on(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "123", 1)
    with serving(*base(tmp_path / "m")) as server:
        graphs.corrupt(tmp_path / "m" / "999")
        server.wait_for("Encountered an error for servable version")
        _, answer = server.get("/v1/models/half_plus_two")
        bad, good = answer["model_version_status"]
        assert (bad["version"], bad["state"]) == ("999", "END")
        assert bad["status"]["error_code"] == "DATA_LOSS"
        assert bad["status"]["error_message"] == f"Can't parse {tmp_path}/m/999/saved_model.pb as binary proto"
        assert (good["version"], good["state"]) == ("123", "AVAILABLE")
        graphs.withdraw(tmp_path / "m" / "123")
        graphs.corrupt(tmp_path / "m" / "1000")  # once it is seen, so is that 123 is gone
        server.wait_for("Encountered an error for servable version", count=2)
        assert server.predict([1.0]) == [2.0]


def test_a_version_without_saved_model_is_not_found(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m")) as server:
        (tmp_path / "m" / "7").mkdir()
        server.wait_for("Encountered an error for servable version")
        status, answer = server.get("/v1/models/half_plus_two/versions/7")
        assert status == 200
        assert answer["model_version_status"][0]["status"]["error_code"] == "NOT_FOUND"


def test_an_emptied_base_path_ends_the_versions(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m")) as server:
        graphs.withdraw(tmp_path / "m" / "1")
        server.wait_for(UNLOADED.format(1))
        assert server.states() == {"1": "END"}
        status, answer = server.post("/v1/models/half_plus_two:predict", {"instances": [1.0]})
        assert (status, answer) == (404, {"error": "Servable not found for request: Latest(half_plus_two)"})


def test_a_base_path_that_vanishes_leaves_what_serves(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m")) as server:
        shutil.move(tmp_path / "m", tmp_path / "elsewhere")
        server.wait_for("No versions of servable half_plus_two found under base path", count=2)
        assert server.predict([1.0]) == [2.0]


def test_a_version_that_comes_back_is_loaded_again(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m")) as server:
        graphs.withdraw(tmp_path / "m" / "1")
        server.wait_for(UNLOADED.format(1))
        graphs.plus(tmp_path / "m" / "1", 5)
        server.wait_for(LOADED.format(1), count=2)
        assert server.predict([1.0]) == [6.0]


def test_directories_that_are_no_numbers_are_ignored(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "00000007", 1)
    for name in ("v8", "tmp", "9.5"):
        (tmp_path / "m" / name).mkdir()
    with serving(*base(tmp_path / "m")) as server:
        assert server.states() == {"7": "AVAILABLE"}


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", {"3"}),
        ("latest { num_versions: 2 }", {"2", "3"}),
        ("all {}", {"1", "2", "3"}),
        ("specific { versions: 1 versions: 3 }", {"1", "3"}),
    ],
)
def test_the_policy_decides_on_the_versions(tmp_path: Path, policy: str, served: set[str]) -> None:
    for version in (1, 2, 3):
        graphs.plus(tmp_path / "m" / str(version), version)
    model = f'name: "m" base_path: "{tmp_path}/m" model_platform: "tensorflow"'
    model += f" model_version_policy {{ {policy} }}" if policy else ""
    with serving(config(tmp_path / "models.config", model)) as server:
        for number in served:
            server.wait_for(rf"loaded servable version \{{name: m version: {number}\}}")
        assert server.states("m") == dict.fromkeys(sorted(served, reverse=True), "AVAILABLE")
        for number in served:
            status, answer = server.post(f"/v1/models/m/versions/{number}:predict", {"instances": [0.0]})
            assert (status, answer) == (200, {"predictions": [float(number)]})


def test_loading_is_retried_and_a_repaired_model_comes_up(tmp_path: Path) -> None:
    graphs.corrupt(tmp_path / "m" / "1")
    flags = (f"--model_base_path={tmp_path}/m", "--max_num_load_retries=1000", "--load_retry_interval_micros=10000")
    with launched(*flags) as server:
        server.wait_for("Retrying of Loading servable: {name: default version: 1} retry: 2")
        repaired = graphs.plus(tmp_path / "other" / "1", 1)
        (repaired / "saved_model.pb").replace(tmp_path / "m" / "1" / "saved_model.pb")
        server.wait_for(LISTENING)
        assert server.predict([1.0], "default") == [2.0]


def test_nothing_is_watched_when_the_interval_is_zero(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with serving(*base(tmp_path / "m"), "--file_system_poll_wait_seconds=0") as server:
        graphs.plus(tmp_path / "m" / "2", 2)
        assert server.predict([1.0]) == [2.0]
        assert server.states() == {"1": "AVAILABLE"}


def test_a_version_that_is_still_being_copied_is_loaded_when_it_is_complete(tmp_path: Path) -> None:
    """As rsync and gsutil copy: saved_model.pb first, then the variables."""
    recorded = Path(__file__).parents[2] / "peers" / "recorded" / "models" / "keras_dict" / "1"
    base_path = tmp_path / "m"
    shutil.copytree(recorded, base_path / "1")
    with serving(f"--model_base_path={base_path}", "--model_name=m", "--max_num_load_retries=0") as server:
        (base_path / "2").mkdir()
        server.wait_for("Version 2 at .* is still being copied")
        shutil.copy(recorded / "saved_model.pb", base_path / "2")
        (base_path / "2" / "variables").mkdir()
        shutil.copy(recorded / "variables" / "variables.index", base_path / "2" / "variables")
        # A later version, which is complete, shows that the server has looked again meanwhile.
        shutil.copytree(recorded, base_path / ".3")
        (base_path / ".3").rename(base_path / "3")
        server.wait_for(r"Successfully loaded servable version \{name: m version: 3\}")
        assert server.states("m").keys() == {"1", "3"}
        shutil.rmtree(base_path / "3")
        shutil.copy(recorded / "variables" / "variables.data-00000-of-00001", base_path / "2" / "variables")
        server.wait_for(r"Successfully loaded servable version \{name: m version: 2\}")
        assert server.states("m")["2"] == "AVAILABLE"
