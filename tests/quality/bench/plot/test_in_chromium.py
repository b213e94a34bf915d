"""The page in a real browser: every chart is drawn, nothing is logged, and nothing is asked of a network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.quality.bench.plot.test_curves import empty
from tests.quality.bench.test_result import result
from tests.support.needs import missing
from tfs_workflow.quality.bench.plot.plotted import plotted
from tfs_workflow.quality.bench.result import Interval

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def opened(text: str, directory: Path) -> tuple[str, list[str]]:
    """The document after its scripts have run, and what they logged."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        missing("needs Chromium: apt-get install chromium")
    page = directory / "report.html"
    page.write_text(text)
    options = ("--headless=new", "--disable-gpu", "--no-sandbox", "--enable-logging=stderr", "--dump-dom")
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={directory / 'profile'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_every_chart_is_drawn_and_nothing_is_logged(tmp_path: Path) -> None:
    made = result()
    for point in made.points:
        point.timeline = [Interval(0.25 * number, 100.0, 2.0, 3.0 + number, 0) for number in range(1, 5)]
    document, logged = opened(plotted(made, ".html"), tmp_path)
    assert logged == []
    assert 'data-drawn="3"' in document
    assert document.count("<canvas") == 3
    for label in ("percentile", "16 connections", "200/s", "requests/s", "p99"):
        assert f">{label}<" in document, label


def test_a_bench_without_an_answer_has_its_one_chart(tmp_path: Path) -> None:
    document, logged = opened(plotted(empty(), ".html"), tmp_path)
    assert logged == []
    assert 'data-drawn="1"' in document


def test_a_script_that_asks_the_network_is_stopped_and_seen(tmp_path: Path) -> None:
    page = plotted(result(), ".html").replace("</body>", "<script>fetch('http://127.0.0.1:9/')</script></body>")
    _, logged = opened(page, tmp_path)
    assert any("Content Security Policy" in line for line in logged)
