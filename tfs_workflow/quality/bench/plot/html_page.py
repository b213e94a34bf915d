"""The page of `bench --plot report.html`: data, script and style in one file, which asks no network for anything."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template

from tfs_workflow.quality.bench.plot.curves import Curves

_PAGE = files("tfs_workflow.quality.bench.plot") / "page"


def html_page(curves: Curves) -> str:
    """The page as text; uPlot (MIT) draws it."""
    heads, *rows = curves.table
    return Template(_asset("page.html")).substitute(
        title=escape(curves.title),
        style=_asset("uplot/uPlot.min.css") + _asset("page.css"),
        heads="".join(f"<th>{escape(head)}</th>" for head in heads),
        rows="".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows),
        remarks="".join(f"<li>{escape(text)}</li>" for text in curves.remarks),
        curves=_in_script(json.dumps(curves.document())),
        licence=escape(_asset("uplot/LICENSE")),
        uplot=_asset("uplot/uPlot.iife.min.js"),
        script=_asset("page.js"),
    )


def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _in_script(text: str) -> str:
    """JSON as it may stand in a script element: a name such as </script> would end it."""
    return text.replace("<", "\\u003c")
