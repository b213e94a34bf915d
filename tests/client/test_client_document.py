"""The examples of docs/client.md run as they stand, against a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.client.conftest import ROOT, RunningServer

DOCUMENT = ROOT / "docs" / "client.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_runs(model_server: RunningServer, block: str) -> None:
    addressed = block.replace("127.0.0.1:8500", model_server.grpc_address)
    addressed = addressed.replace("http://127.0.0.1:8501", model_server.url)
    assert addressed != block
    exec(compile(addressed, str(Path(DOCUMENT.name)), "exec"), {})
