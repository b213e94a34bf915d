"""What a TensorFlow session is configured with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.modelserver.running import serving
from tfs_workflow.modelserver import flags, server


@pytest.mark.parametrize(("text", "disabled"), [("", True), ("experimental { disable_thread_spinning: false }", False)])
def test_threads_do_not_spin_unless_the_file_says_so(tmp_path: Path, text: str, disabled: bool) -> None:
    config_file = tmp_path / "session.config"
    config_file.write_text(text)
    parsed = flags.parse([f"--tensorflow_session_config_file={config_file}"])
    assert server.session_config(parsed).experimental.disable_thread_spinning is disabled
    with serving(f"--tensorflow_session_config_file={config_file}") as running:
        assert running.predict([1.0]) == [2.5]
