"""The picture of `bench --plot x.svg`: latency by percentile and throughput by load, for a README or a CI summary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from html import escape

from tfs_workflow.quality.bench.plot.curves import Curves, Line

_WIDTH, _HEIGHT, _TOP, _BOTTOM, _LEFT = 960, 380, 70, 300, 60
# The right ends of the two panels, and where the second begins.
_FIRST_END, _SECOND, _SECOND_END = 520, 620, 940
_COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e", "#0a7ea4", "#9a6700", "#57606a")
_BOLD = ' font-weight="bold"'
_FONT = "system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif"


def svg_chart(curves: Curves) -> str:
    """The picture as text."""
    parts = [*_percentiles(curves), *_throughput(curves)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="{_FONT}" font-size="12" fill="#24292f" role="img">\n'
        f"<title>{escape(curves.title)}</title>\n"
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="#ffffff" stroke="#d0d7de"/>\n'
        f"{_text(16, 28, curves.title, 'start', _BOLD)}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _percentiles(curves: Curves) -> Iterator[str]:
    yield _text(_LEFT, 52, "latency by percentile, ms", "start")
    values = [value for line in curves.percentiles for value in line.y if value]
    if not values:
        return
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values) * 1.001))
    count = max(len(line.x) for line in curves.percentiles)

    def place(x: float, y: float) -> tuple[float, float]:
        share = math.log(max(y, low) / low) / math.log(high / low)
        return _LEFT + (_FIRST_END - _LEFT) * x / max(count - 1, 1), _BOTTOM - (_BOTTOM - _TOP) * share

    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        _, y = place(0, 10.0**power)
        yield _rule(_LEFT, _FIRST_END, y) + _text(_LEFT - 6, y + 4, f"{10.0**power:g}", "end")
    for number in range(0, count, max(1, count // 8)):
        yield _text(place(number, low)[0], _BOTTOM + 16, curves.marks[number], "middle")
    for number, line in enumerate(curves.percentiles):
        yield _curve(line, number, place)
        x, y = _LEFT + number % 5 * 105, _BOTTOM + 40 + number // 5 * 16
        yield _text(x, y, line.name, "start", f' fill="{_colour(number)}"')


def _curve(line: Line, number: int, place: Callable[[float, float], tuple[float, float]]) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(x, y) for x, y in zip(line.x, line.y, strict=True) if y))
    return f'<polyline points="{points}" fill="none" stroke="{_colour(number)}" stroke-width="2"/>'


def _throughput(curves: Curves) -> Iterator[str]:
    yield _text(_SECOND, 52, "requests/s by load", "start")
    highest, step = max([*curves.per_s, 1]), (_SECOND_END - _SECOND) / max(len(curves.loads), 1)
    yield _rule(_SECOND, _SECOND_END, _BOTTOM)
    for number, (name, per_s) in enumerate(zip(curves.loads, curves.per_s, strict=True)):
        height, x = (_BOTTOM - _TOP - 16) * per_s / highest, _SECOND + number * step
        bar = f'x="{x + step * 0.15:.1f}" y="{_BOTTOM - height:.1f}" width="{step * 0.7:.1f}" height="{height:.1f}"'
        yield f'<rect {bar} fill="{_colour(0)}"/>'
        yield _text(x + step / 2, _BOTTOM - height - 5, f"{per_s:.0f}", "middle")
        yield _text(x + step / 2, _BOTTOM + 16 + number % 2 * 16, _short(name), "middle")


def _short(name: str) -> str:
    return name.replace(" connections", " conn.").replace(" connection", " conn.")


def _rule(left: float, right: float, y: float) -> str:
    return f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#d0d7de"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    """A text; `more` are further attributes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
