"""Draw docs/pictures/ratios.svg from the figures in docs/pictures/ratios.json: `invoke dev.pictures`.

A bar with `ours` and `theirs` compares rates, where more is better; one with `ours_s` and `theirs_s` compares seconds,
where less is better. The axis is logarithmic, since the ratios lie between 4 and more than 100.
"""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).parents[1] / "docs" / "pictures" / "ratios.json"
CHART = FIGURES.with_suffix(".svg")
_WIDTH, _BAR, _LABELS, _TOP, _LARGEST = 760, 34, 250, 44, 300


def main() -> None:
    """Write the chart."""
    CHART.write_text(chart(json.loads(FIGURES.read_text(encoding="utf-8"))), encoding="utf-8")


def chart(figures: dict[str, Any]) -> str:
    """The SVG of a horizontal bar for each ratio, with the source and date of the figures below."""
    bars = "".join(_bar(bar, _TOP + _BAR * row) for row, bar in enumerate(figures["bars"]))
    height = _TOP + _BAR * len(figures["bars"]) + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif" font-size="13" fill="#24292f">\n'
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>\n'
        f'<text x="16" y="26" font-weight="bold">{escape(figures["title"])}</text>\n{bars}'
        f'<text x="16" y="{height - 12}" font-size="11" fill="#57606a">{escape(figures["source"])}</text>\n</svg>\n'
    )


def ratio(bar: dict[str, Any]) -> float:
    """How many times better ours is."""
    if "ours_s" in bar:
        return float(bar["theirs_s"] / bar["ours_s"])
    return float(bar["ours"] / bar["theirs"])


def _bar(bar: dict[str, Any], y: int) -> str:
    times = ratio(bar)
    length = (_WIDTH - _LABELS - 70) * math.log(times) / math.log(_LARGEST)
    return (
        f'<text x="16" y="{y + 13}">{escape(bar["what"])}</text>'
        f'<text x="16" y="{y + 26}" font-size="10" fill="#57606a">against {escape(bar["against"])}</text>'
        f'<rect x="{_LABELS}" y="{y + 4}" width="{length:.1f}" height="20" rx="2" fill="#3f7fbf"/>'
        f'<text x="{_LABELS + length + 8:.1f}" y="{y + 19}" font-weight="bold">{_rounded(times)} times</text>\n'
    )


def _rounded(times: float) -> str:
    return f"{times:.0f}" if times >= 10 else f"{times:.1f}"


if __name__ == "__main__":
    main()
