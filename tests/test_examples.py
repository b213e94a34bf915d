"""Every example of config/examples and the default YAML, offline, on the embedded server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.examples import EXAMPLES, check_answers, served


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_is_served_and_answers(path: Path, tmp_path: Path) -> None:
    with served(path, tmp_path, {"TFS_RUNTIME": "embedded"}) as example:
        check_answers(example)
