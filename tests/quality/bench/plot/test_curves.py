"""The page and the picture hold what was measured, are well formed, and ask no network for anything."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from xml.etree import ElementTree

import pytest

from tests.quality.bench.test_result import result
from tests.quality.bench.test_slo import point
from tfs_workflow.quality.bench.plot.curves import curves_of
from tfs_workflow.quality.bench.plot.plotted import PLOTS, plotted
from tfs_workflow.quality.bench.result import BenchResult, ClientUse, Load

MAX_PAGE_BYTES = 300_000


def empty() -> BenchResult:
    """A bench that was interrupted before anything was answered."""
    made = result()
    made.points = [point(Load(4), 0, 1)]
    return made


def test_the_curves_are_those_of_the_points() -> None:
    curves = curves_of(result())
    assert curves.loads == ["16 connections", "200/s"]
    assert curves.per_s == [1000.0, 200.0]
    first = curves.percentiles[0]
    assert first.y == pytest.approx([4.0] * len(first.x), rel=2e-3)
    assert curves.timeline[0].x == [0.25]


def test_a_curve_ends_where_single_requests_would_decide() -> None:
    last = [curves_of(result()).marks[len(line.x) - 1] for line in curves_of(result()).percentiles]
    assert last == ["99.9", "99.5"]


def test_latencies_that_are_the_generators_own_are_not_drawn() -> None:
    made = result()
    made.points = [point(Load(512, 9_000), 2_000, 3, client=ClientUse(busiest=0.99))]
    assert curves_of(made).percentiles == []
    assert curves_of(made).p99_ms == [None]


@pytest.mark.parametrize("made", [result(), empty()], ids=["whole", "empty"])
def test_the_picture_is_well_formed_and_has_a_bar_and_a_line_for_each_load(made: BenchResult) -> None:
    picture = ElementTree.fromstring(plotted(made, ".svg"))
    tags = [one.tag.rpartition("}")[2] for one in picture.iter()]
    lines = [one for one in made.points if one.latencies.count]
    assert tags.count("rect") == 1 + len(made.points)
    assert tags.count("polyline") == len(lines)


def test_the_page_is_small_holds_the_figures_and_names_no_address_to_fetch() -> None:
    page = plotted(result(), ".html")
    assert len(page.encode()) < MAX_PAGE_BYTES
    found = re.search(r'id="curves">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert json.loads(found[1]) == json.loads(json.dumps(curves_of(result()).document()))
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href|url)\s*[=(]\s*["\']?https?:', page)


@pytest.mark.parametrize("suffix", sorted(PLOTS))
def test_a_hostile_name_stays_text(suffix: str) -> None:
    made = result()
    made.model = "</script><script>alert(1)</script>"
    made.points[0].errors = type(made.points[0].errors)({"HTTP 500: <img src=x onerror=alert(1)>": 1})
    text = plotted(made, suffix)
    assert "<script>alert" not in text
    assert "<img" not in text


def test_what_draws_is_what_was_fetched() -> None:
    place = files("tfs_workflow.quality.bench.plot") / "page" / "uplot"
    for line in (place / "SHA256SUMS").read_text().splitlines()[1:]:
        wanted, name = line.split()
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == wanted
    assert "MIT" in (place / "LICENSE").read_text()
