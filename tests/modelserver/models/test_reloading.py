"""Another configuration while serving: by file and by gRPC; a wrong one leaves what was there."""

from __future__ import annotations

from pathlib import Path

import grpc

from tests.support.modelserver import graphs
from tests.support.modelserver.families import engine_of
from tests.support.modelserver.running import BUNDLED, Running, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig, ModelServerConfig


def model(name: str, path: Path, more: str = "") -> str:
    return f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }}'


def write(path: Path, *models: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(f"model_config_list {{ {' '.join(models)} }}")
    new.replace(path)


def watching(path: Path) -> tuple[str, ...]:
    return (f"--model_config_file={path}", "--model_config_file_poll_wait_seconds=1", "--max_num_load_retries=0")


def reload(server: Running, config: ModelServerConfig) -> apis.StatusProto:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = services.RELOAD_CONFIG
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        try:
            response: apis.ReloadConfigResponse = call(apis.ReloadConfigRequest(config=config), timeout=60)
        except grpc.RpcError as error:
            return apis.StatusProto(error_code=error.code().value[0], error_message=error.details())
        return response.status


def config(*models: ModelConfig) -> ModelServerConfig:
    return ModelServerConfig(model_config_list={"config": models})


def configured(name: str, path: Path, **labels: int) -> ModelConfig:
    return ModelConfig(name=name, base_path=str(path), model_platform="tensorflow", version_labels=labels)


def test_a_changed_file_adds_and_drops_models(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "b" / "4", 4)
    write(tmp_path / "models.config", model("a", BUNDLED))
    with serving(*watching(tmp_path / "models.config")) as server:
        write(tmp_path / "models.config", model("b", tmp_path / "b"))
        server.wait_for("Done unloading servable version {name: a version: 123}")
        server.wait_for("Successfully loaded servable version {name: b version: 4}")
        assert server.predict([1.0], "b") == [5.0]
        assert server.states("a") == {"123": "END"}
        status, answer = server.post("/v1/models/a:predict", {"instances": [1.0]})
        assert (status, answer) == (404, {"error": "Servable not found for request: Latest(a)"})


def test_a_file_with_a_wrong_label_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "models.config", model("a", BUNDLED))
    with serving(*watching(tmp_path / "models.config")) as server:
        write(tmp_path / "models.config", model("a", BUNDLED, 'version_labels { key: "s" value: 7 }'))
        server.wait_for("failed to ReloadConfig: Request to assign label to version 7")
        assert server.predict([1.0], "a") == [2.5]


# What a configuration file holds, and what the server logs in its place.
REFUSED = {
    "": "Failed to read ModelServerConfig file: .*models.config; Invalid argument",
    "\n": "failed to ReloadConfig: Cannot transition to requested config. It is only legal to transition from one",
    "model_config_list { config { name:": r"Error parsing text-format tensorflow\.serving\.ModelServerConfig: 1:",
    "model_config_list { bad: 1 }": 'Message type "tensorflow.serving.ModelConfigList" has no field named "bad"',
    f"model_config_list {{ {model('a', BUNDLED).replace('tensorflow', 'onnx')} }}": (
        "Illegal to change a model's platform. For model a platform was tensorflow and new platform requested is onnx"
    ),
    f"model_config_list {{ {model('a', BUNDLED, 'logging_config {}')} }}": (
        "failed to ReloadConfig: No request-logger-creator provided."
    ),
}


def test_a_file_that_cannot_be_taken_unloads_nothing_and_is_taken_once_it_is_right(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "b" / "4", 4)
    path = tmp_path / "models.config"
    write(path, model("a", BUNDLED))
    with serving(*watching(path)) as server:
        for text, logged in REFUSED.items():
            path.write_text(text)
            server.wait_for(logged)
            assert server.predict([1.0], "a") == [2.5]
        assert not any("Unloading" in line or "tfs_workflow.protos" in line for line in server.lines)
        write(path, model("a", BUNDLED), model("b", tmp_path / "b"))
        server.wait_for("Successfully loaded servable version {name: b version: 4}")
        assert server.predict([1.0], "a") == [2.5]


def test_a_label_in_the_file_is_assigned_once_its_version_serves(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    write(tmp_path / "models.config", model("m", tmp_path / "m"))
    with serving(*watching(tmp_path / "models.config")) as server:
        policy = "model_version_policy { all {} } version_labels { key: 'canary' value: 2 }"
        write(tmp_path / "models.config", model("m", tmp_path / "m", policy))
        server.wait_for("failed to ReloadConfig: Request to assign label to version 2")
        graphs.plus(tmp_path / "m" / "2", 2)
        until(lambda: server.post("/v1/models/m/labels/canary:predict", {"instances": [0.0]})[0] == 200)


def test_a_server_without_models_takes_the_first_list(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text("# none yet\n")
    with serving(*watching(path)) as server:
        write(path, model("a", BUNDLED))
        server.wait_for("Successfully loaded servable version {name: a version: 123}")
        until(lambda: server.predict([1.0], "a") == [2.5])


def test_grpc_reload_returns_when_the_new_model_serves(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "b" / "1", 1)
    with serving() as server:
        status = reload(server, config(configured("half_plus_two", BUNDLED), configured("b", tmp_path / "b")))
        assert status == apis.StatusProto()
        assert server.predict([1.0], "b") == [2.0]
        assert server.predict([1.0]) == [2.5]


def test_a_dropped_model_can_come_back() -> None:
    with serving() as server:
        reload(server, config(configured("other", BUNDLED)))
        server.wait_for("Done unloading servable version {name: half_plus_two version: 123}")
        assert server.states() == {"123": "END"}
        reload(server, config(configured("half_plus_two", BUNDLED)))
        assert server.predict([1.0]) == [2.5]


def test_an_invalid_grpc_reload_leaves_what_was_there() -> None:
    with serving() as server:
        twice = configured("m", BUNDLED)
        status = reload(server, config(twice, twice))
        assert status.error_code == apis.INVALID_ARGUMENT
        assert status.error_message == "Illegal to list model m multiple times in config list"
        status = reload(server, config(configured("half_plus_two", BUNDLED, canary=9)))
        assert status.error_code == apis.FAILED_PRECONDITION
        assert server.predict([1.0]) == [2.5]
        assert server.states() == {"123": "AVAILABLE"}


def test_labels_are_assigned_moved_and_unknown_ones_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        graphs.plus(tmp_path / "m" / str(number), number)
    with serving(f"--model_base_path={tmp_path}/m", "--model_name=m") as server:
        both = configured("m", tmp_path / "m")
        both.model_version_policy.all.SetInParent()
        reload(server, config(both))
        server.wait_for("loaded servable version {name: m version: 1}")
        for number in (1, 2):
            both.version_labels["stable"] = number
            assert reload(server, config(both)) == apis.StatusProto()
            _, answer = server.post("/v1/models/m/labels/stable:predict", {"instances": [0.0]})
            assert answer == {"predictions": [float(number)]}
        status, answer = server.post("/v1/models/m/labels/nope:predict", {"instances": [0.0]})
        assert (status, answer) == (400, {"error": "Unrecognized servable version label: nope"})


def test_a_new_model_that_cannot_be_loaded_is_reported(tmp_path: Path) -> None:
    graphs.corrupt(tmp_path / "bad" / "1")
    with serving("--max_num_load_retries=0") as server:
        status = reload(server, config(configured("half_plus_two", BUNDLED), configured("bad", tmp_path / "bad")))
        assert status.error_code == apis.UNKNOWN
        assert "DATA_LOSS" in status.error_message
        assert server.predict([1.0]) == [2.5]


def test_a_model_that_is_removed_and_added_again_at_once_is_loaded_again() -> None:
    with serving("--file_system_poll_wait_seconds=0") as server:
        for _ in range(50):
            assert reload(server, config(configured("other", BUNDLED))) == apis.StatusProto()
            assert reload(server, config(configured("half_plus_two", BUNDLED))) == apis.StatusProto()
            assert server.predict([1.0]) == [2.5]


def test_a_configuration_of_another_type_is_refused_by_name() -> None:
    with serving() as server:
        status = reload(server, ModelServerConfig())
        assert status.error_code == apis.INVALID_ARGUMENT
        assert status.error_message.startswith(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only"
        )


def test_an_engine_that_is_replaced_serves_what_the_last_reload_brought(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "b" / "4", 4)
    graphs.plus(tmp_path / "b" / "5", 5)
    with serving("--fronts=1") as server:
        both = configured("b", tmp_path / "b")
        both.model_version_policy.all.SetInParent()
        assert reload(server, config(both)) == apis.StatusProto()
        until(lambda: server.states("b") == {"4": "AVAILABLE", "5": "AVAILABLE"})
        both.version_labels["canary"] = 4
        assert reload(server, config(both)) == apis.StatusProto()
        engine = engine_of(server)
        engine.kill()
        until(lambda: engine_of(server).pid != engine.pid)
        assert server.post("/v1/models/b/labels/canary:predict", {"instances": [1.0]}) == (200, {"predictions": [5.0]})
        assert server.post("/v1/models/half_plus_two:predict", {"instances": [1.0]})[0] == 404
