"""Draws a bench in the form that a file's suffix asks for."""

from __future__ import annotations

from tfs_workflow.quality.bench.plot.curves import curves_of
from tfs_workflow.quality.bench.plot.html_page import html_page
from tfs_workflow.quality.bench.plot.svg_chart import svg_chart
from tfs_workflow.quality.bench.result import BenchResult

PLOTS = {".html": html_page, ".svg": svg_chart}


def plotted(result: BenchResult, suffix: str) -> str:
    """The text of the file; `suffix` is one of PLOTS."""
    return PLOTS[suffix](curves_of(result))
