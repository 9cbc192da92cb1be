"""Charts as inline SVG; colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from rag_rec.evaluation.report.sections import Chart

_WIDTH, _HEIGHT, _ROW = 720, 300, 26
_NAMES, _TICKS, _RIGHT = 190, 60, 60
"""Pixels left of the drawing, for names or for ticks, and right of it."""

_CLOSE = 1e-9
"""Values closer than this are drawn as one."""

Point = tuple[float, float]


def draw(chart: Chart) -> str:
    """Return the SVG of a chart."""
    return _rows(chart) if chart.kind in {"intervals", "shares"} else _plane(chart)


def _rows(chart: Chart) -> str:
    """Draw a row a mark: its name and its interval, or its share as a bar."""
    bars, zero = chart.kind == "shares", [] if chart.zero is None else [chart.zero]
    ends = [end for mark in chart.marks for end in mark.ends] + zero
    low, high = (0.0, 1.0) if bars else _padded(ends)
    height = _ROW * len(chart.marks) + 40
    scale = _Scale(low, high, _NAMES, _WIDTH - _RIGHT)
    parts = _axis(scale, height)
    parts += [_line("zero", (scale(x), 0), (scale(x), height - 24)) for x in zero]
    for at, mark in enumerate(chart.marks):
        y, start, end = _ROW * (at + 1), scale(mark.ends[0]), scale(mark.ends[1])
        hint = f"{mark.name}: {mark.x:.4f}"
        short = mark.name if len(mark.name) <= 28 else mark.name[:27] + "…"
        parts.append(_text("name", (_NAMES - 10, y + 4), short, mark.name))
        parts.append(_line(f"{'wide' if bars else 'bar'} {mark.tone}", (start, y), (end, y), hint))
        if bars:
            parts.append(_text("value", (end + 5, y + 4), f"{100 * mark.x:.1f} %"))
        else:
            hint = f"{hint} [{mark.ends[0]:.4f}, {mark.ends[1]:.4f}]"
            parts.append(_dot(mark.tone, (scale(mark.x), y), 4.5, hint))
    return _svg(parts, height, chart)


def _plane(chart: Chart) -> str:
    """Draw numbered points, or a curve of shares whose dots grow with their users."""
    curve = chart.kind == "curve"
    xs, ys = [mark.x for mark in chart.marks], [mark.y for mark in chart.marks]
    across = _Scale(*((1, max(2, *xs)) if curve else _padded(xs)), _TICKS, _WIDTH - _RIGHT)
    low, high = (0.0, 1.0) if curve else (min(ys), max(ys))
    up = _Scale(*((low, high) if curve else _padded(ys)), _HEIGHT - 52, 12)
    parts = _axis(across, _HEIGHT - 16, least_step=1.0 if curve else 0.0)
    for y in sorted({low, (low + high) / 2, high}):
        tick = f"{100 * y:.0f} %" if curve else f"{y:.3f}"
        parts.append(_line("grid", (_TICKS, up(y)), (_WIDTH, up(y))))
        parts.append(_text("tick end", (_TICKS - 8, up(y) + 4), tick))
    if curve:
        path = " ".join(f"{across(x)},{up(y)}" for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline class="curve" points="{path}"/>')
    most = max(mark.n_users for mark in chart.marks)
    for at, mark in enumerate(chart.marks, 1):
        place = (across(mark.x), up(mark.y))
        radius = 3 + 6 * (mark.n_users / most) ** 0.5
        parts.append(_dot(mark.tone, place, radius, f"{mark.name}: {mark.x:g}, {mark.y:.4f}"))
        if not curve:
            parts.append(_text("number", (place[0], place[1] + 4), str(at)))
    parts.append(_text("tick", (_WIDTH / 2, _HEIGHT - 4), chart.x_name))
    names = " · ".join(f"{at} {escape(mark.name)}" for at, mark in enumerate(chart.marks, 1))
    return _svg(parts, _HEIGHT, chart) + ("" if curve else f'<p class="legend">{names}</p>')


class _Scale:
    """Pixels from values: ``low`` falls on ``start``, ``high`` on ``stop``."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high, self._start, self._stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self._start + share * (self._stop - self._start), 1)

    def ticks(self, least_step: float) -> list[float]:
        """Return three to six round values over the range, or fewer that are far enough apart."""
        rough = max((self.high - self.low) / 5, least_step)
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step)
        return [at * step for at in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _padded(values: Sequence[float]) -> Point:
    """Return the range of values with a margin at both ends, and never an empty one."""
    low, high = min(values), max(values)
    spread = high - low or abs(high)
    room = 0.06 * (spread if spread > _CLOSE else 1.0)
    return low - room, high + room


def _axis(scale: _Scale, height: float, least_step: float = 0.0) -> list[str]:
    parts: list[str] = []
    for value in scale.ticks(least_step):
        x = scale(value)
        parts.append(_line("grid", (x, 0), (x, height - 24)))
        parts.append(_text("tick", (x, height - 8), f"{value:.3g}"))
    return parts


def _line(style: str, start: Point, end: Point, hint: str = "") -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{style}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}">{_hint(hint)}</line>'


def _dot(style: str, place: Point, radius: float, hint: str) -> str:
    x, y = place
    return f'<circle class="dot {style}" cx="{x}" cy="{y}" r="{radius:.1f}">{_hint(hint)}</circle>'


def _text(style: str, place: Point, text: str, hint: str = "") -> str:
    x, y = place
    return f'<text class="{style}" x="{x}" y="{y}">{escape(text)}{_hint(hint)}</text>'


def _hint(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _svg(parts: Sequence[str], height: float, chart: Chart) -> str:
    label = escape(chart.caption)
    body = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{body}</svg>'
