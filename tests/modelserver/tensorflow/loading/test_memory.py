"""What a graph of large constants takes, by either way to load it, and that unloading gives it back."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.support.modelserver import large_models
from tests.support.modelserver.running import Running, serving

SIZE_MB = 128


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_models.table(tmp_path_factory.mktemp("models") / "heavy" / "1", SIZE_MB).parent


def memory_mb(server: Running) -> float:
    """Resident memory of one process, without what others could share."""
    info = psutil.Process(server.process.pid).memory_info()
    return float(info.rss - info.shared) / 2**20


def taken_mb(base_path: Path, *flags: str) -> tuple[float, float]:
    """What a server of the model has after its first answer, and after the model is withdrawn."""
    model = ("--model_name=heavy", f"--model_base_path={base_path}", "--fronts=0", *flags)
    with serving(*model) as server:
        assert server.predict([1.0], "heavy") == [[float(256 + i) for i in range(256)]]
        loaded_mb = memory_mb(server)
        hidden = base_path / "1"
        hidden.rename(base_path / "gone")
        server.wait_for("Done unloading servable version {name: heavy version: 1}")
        (base_path / "gone").rename(hidden)
        return loaded_mb, memory_mb(server)


def test_a_large_graph_takes_half_and_gives_it_back(heavy: Path) -> None:
    """Without a flag: the file is larger than the default bound."""
    names_mb, left_mb = taken_mb(heavy)
    loader_mb, _ = taken_mb(heavy, f"--large_graph_bytes={2**40}")
    assert loader_mb - names_mb > 2 * SIZE_MB
    assert names_mb - left_mb > 2.5 * SIZE_MB
