"""Every example of config/examples and the default YAML on a real Docker engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.examples import EXAMPLES, check_answers, served


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_is_served_and_answers(path: Path, tmp_path: Path, image: str) -> None:
    overrides = {"TFS_RUNTIME": "docker", "TFS_SERVER__IMAGE": image}
    with served(path, tmp_path, overrides) as example:
        check_answers(example)
