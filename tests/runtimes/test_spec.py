"""The server spec is pure: its files and flags are compared as data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfs_workflow.config.types import Config
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec, server_files, server_flags
from tfs_workflow.runtimes.spec_builder import build_spec

MODEL = ModelSpec("half_plus_two", Path("/srv/half_plus_two"))
SPEC = ServerSpec("lab", "docker", (MODEL,), image="tensorflow/serving:2.20.0", models_dir=Path("/srv"))


def config_of(model: ModelSpec) -> str:
    return server_files(replace(SPEC, models=(model,)), lambda m: f"/models/{m.name}")["models.config"]


def test_even_one_model_is_served_through_a_generated_configuration() -> None:
    assert config_of(MODEL) == (
        "model_config_list {\n"
        "  config {\n"
        '    name: "half_plus_two"\n'
        '    base_path: "/models/half_plus_two"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"latest": 0}, "model_version_policy { all {} }"),
        ({"latest": 3}, "model_version_policy { latest { num_versions: 3 } }"),
        ({"latest": None, "versions": (1, 42)}, "model_version_policy { specific { versions: 1 versions: 42 } }"),
        ({"labels": (("stable", 42),)}, 'version_labels { key: "stable" value: 42 }'),
    ],
)
def test_version_policies_and_labels_are_written_in_tensorflow_servings_terms(
    change: dict[str, Any], line: str
) -> None:
    assert f"    {line}\n" in config_of(replace(MODEL, **change))


def test_names_are_quoted_for_the_text_format() -> None:
    assert 'name: "a\\"b"' in config_of(replace(MODEL, name='a"b'))


def test_batching_and_metrics_bring_their_files_and_flags() -> None:
    spec = replace(
        SPEC,
        metrics=True,
        batching=(("max_batch_size", 8), ("allowed_batch_sizes", (4, 8)), ("pad_variable_length_inputs", True)),
    )
    files = server_files(spec, lambda m: m.name)
    assert files["batching.config"] == (
        "max_batch_size { value: 8 }\nallowed_batch_sizes: 4\nallowed_batch_sizes: 8\n"
        "pad_variable_length_inputs: true\n"
    )
    assert files["monitoring.config"] == 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'
    assert {
        "--enable_batching=true",
        "--batching_parameters_file=/etc/x/batching.config",
        "--monitoring_config_file=/etc/x/monitoring.config",
    } < set(server_flags(spec, "/etc/x", 8501, 8500))


def test_a_model_that_cannot_be_loaded_ends_the_start_unless_the_user_wants_retries() -> None:
    assert "--max_num_load_retries=0" in server_flags(SPEC, "/c", 8501, 8500)
    patient = replace(SPEC, flags=(("max_num_load_retries", "5"),))
    assert "--max_num_load_retries=5" in server_flags(patient, "/c", 8501, 8500)
    assert "--max_num_load_retries=0" not in server_flags(patient, "/c", 8501, 8500)


def test_labels_are_allowed_in_the_first_configuration_of_a_restarted_server_too() -> None:
    # A reload may bring the first label, and the server reads it again when it is started again.
    labelled = replace(SPEC, models=(replace(MODEL, labels=(("stable", 1),)),))
    assert "--allow_version_labels_for_unavailable_models=true" in server_flags(labelled, "/c", 1, 2)
    assert server_flags(SPEC, "/c", 1, 2) == server_flags(labelled, "/c", 1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"expose": True},
        {"rest_port": 9000},
        {"image": "other"},
        {"memory_bytes": 1},
        {"models_dir": Path("/srv/elsewhere")},
        {"models": (replace(MODEL, base_path=Path("/data/m")),)},
        {"models": (replace(MODEL, links=(("1", Path("/data/m/1")),)),)},
        {"flags": (("x", "1"),)},
    ],
)
def test_the_digest_changes_with_anything_that_needs_another_server(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).digest() != SPEC.digest()
    assert replace(SPEC).digest() == SPEC.digest()


@pytest.mark.parametrize(
    "models",
    [
        (replace(MODEL, content="other files"),),
        (replace(MODEL, labels=(("a", 1),)),),
        (replace(MODEL, latest=0),),
        (MODEL, replace(MODEL, name="other", base_path=Path("/srv/other"))),
        (),
    ],
)
def test_the_digest_is_the_same_where_a_reload_is_enough(models: tuple[ModelSpec, ...]) -> None:
    assert replace(SPEC, models=models).digest() == SPEC.digest()


@pytest.mark.parametrize("flag", ["model_config_file", "file_system_poll_wait_seconds", "ssl_config_file"])
def test_flags_that_take_the_models_out_of_our_hands_keep_from_a_reload(flag: str) -> None:
    assert SPEC.can_reload
    assert not replace(SPEC, flags=((flag, "x"),)).can_reload


def test_only_an_exposed_server_listens_on_every_interface() -> None:
    assert SPEC.address == "127.0.0.1"
    assert replace(SPEC, expose=True).address == "0.0.0.0"


@pytest.mark.parametrize(("written", "limit"), [("auto", 1200), (700, 700)])
def test_the_limit_on_threads_is_a_number_of_the_engines_processors_or_the_yamls(written: Any, limit: int) -> None:
    model = {"source": {"bundled": "half_plus_two"}}
    config = Config.model_validate({"project": "p", "server": {"pids": written}, "models": {"m": model}})
    assert build_spec(config, "docker", {"m": Path("/m")}, {}, processors=64).pids == limit
