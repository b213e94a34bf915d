"""What a TensorFlow session is configured with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.modelserver.running import serving
from tfs_workflow.modelserver import flags, model_engine
from tfs_workflow.modelserver.status_error import StatusError


@pytest.mark.parametrize(
    ("text", "disabled"), [("# all as it is", True), ("experimental { disable_thread_spinning: false }", False)]
)
def test_threads_do_not_spin_unless_the_file_says_so(tmp_path: Path, text: str, disabled: bool) -> None:
    config_file = tmp_path / "session.config"
    config_file.write_text(text)
    parsed = flags.parse([f"--tensorflow_session_config_file={config_file}"])
    assert model_engine.session_config(parsed).experimental.disable_thread_spinning is disabled
    with serving(f"--tensorflow_session_config_file={config_file}") as running:
        assert running.predict([1.0]) == [2.5]


def test_a_file_may_name_all_that_tensorflow_knows(tmp_path: Path) -> None:
    config_file = tmp_path / "session.config"
    config_file.write_text(
        'device_count { key: "CPU" value: 1 } allow_soft_placement: true log_device_placement: false\n'
        "graph_options { optimizer_options { global_jit_level: OFF opt_level: L0 }"
        " rewrite_options { remapping: OFF constant_folding: AGGRESSIVE memory_optimization: NO_MEM_OPT } }\n"
        "experimental { optimize_for_static_graph: true }"
    )
    with serving(f"--tensorflow_session_config_file={config_file}") as running:
        assert running.predict([1.0, 2.0]) == [2.5, 3.0]


def test_a_field_that_does_not_exist_ends_the_start_with_its_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config_file = tmp_path / "session.config"
    config_file.write_text("allow_soft_placement: true\nno_such_field: 1")
    parsed = flags.parse([f"--tensorflow_session_config_file={config_file}"])
    with pytest.raises(StatusError, match=f"Invalid protobuf file: '{config_file}'"):
        model_engine.session_config(parsed)
    assert "Error parsing text-format tensorflow.ConfigProto: 2:1: " in (logged := capfd.readouterr().err)
    assert "no_such_field" in logged
