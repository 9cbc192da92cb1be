"""Charts as inline SVG; colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_LEFT = 190
_WIDTH = 720
_ROW = 26
_TOP = 12


def forest(rows: Sequence[tuple[str, float, float, float, str]], zero: float | None) -> str:
    """Intervals: name, value, low, high and class of each row; a line at ``zero`` if given."""
    ends = [end for _, _, low, high, _ in rows for end in (low, high)] + (
        [] if zero is None else [zero]
    )
    scale = _Scale(min(ends), max(ends))
    height = _TOP + _ROW * len(rows) + 28
    parts = _axis(scale, height)
    if zero is not None:
        x = scale(zero)
        parts.append(f'<line class="zero" x1="{x}" x2="{x}" y1="0" y2="{height - 26}"/>')
    for at, (name, value, low, high, kind) in enumerate(rows):
        y = _TOP + _ROW * at + _ROW / 2
        parts += [
            _label(name, y),
            f'<line class="bar {kind}" x1="{scale(low)}" x2="{scale(high)}" y1="{y}" y2="{y}"/>',
            _dot(scale(value), y, 4.5, kind, f"{name}: {value:.4f} [{low:.4f}, {high:.4f}]"),
        ]
    return _svg(parts, height, "intervals")


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Shares between 0 and 1: name, value and class of each row."""
    scale = _Scale(0.0, 1.0, padded=False)
    height = _TOP + _ROW * len(rows) + 28
    parts = _axis(scale, height)
    for at, (name, value, kind) in enumerate(rows):
        y = _TOP + _ROW * at
        width = max(scale(value) - scale(0), 1)
        parts += [
            _label(name, y + _ROW / 2),
            _bar(scale(0), y + 4, width, kind, f"{name}: {value:.4f}"),
            _text("value", scale(value) + 5, y + _ROW / 2 + 4, f"{100 * value:.1f} %"),
        ]
    return _svg(parts, height, "shares")


def scatter(points: Sequence[tuple[str, float, float, str]], x_name: str, y_name: str) -> str:
    """Points with a number each, and the names of the numbers below: name, x, y, class."""
    xs, ys = [p[1] for p in points], [p[2] for p in points]
    across = _Scale(min(xs), max(xs), left=60)
    up = _Scale(min(ys), max(ys), left=0)
    height = 300

    def top(value: float) -> float:
        return 16 + (height - 60) * (1 - (up(value) / _WIDTH))

    parts = _axis(across, height - 14)
    for value in (min(ys), (min(ys) + max(ys)) / 2, max(ys)):
        parts.append(f'<text class="tick end" x="52" y="{top(value) + 4:.1f}">{value:.3f}</text>')
    for at, (name, x, y, kind) in enumerate(points, 1):
        parts += [
            _dot(across(x), top(y), 9, kind, f"{name}: {x:g}, {y:.4f}"),
            _text("number", across(x), top(y) + 4, str(at)),
        ]
    parts.append(f'<text class="tick" x="{_WIDTH / 2}" y="{height}">{escape(x_name)}</text>')
    names = " · ".join(f"{at} {escape(p[0])}" for at, p in enumerate(points, 1))
    return _svg(parts, height + 6, y_name) + f'<p class="legend">{names}</p>'


def line(points: Sequence[tuple[int, int, float]], x_name: str) -> str:
    """A curve of shares over whole numbers; the area of a dot follows its number of users."""
    last = max(x for x, _, _ in points)
    across = _Scale(1, max(last, 2), left=60)
    height = 240

    def top(value: float) -> float:
        return 12 + (height - 56) * (1 - value)

    path = " ".join(f"{across(x)},{top(y):.1f}" for x, _, y in points)
    parts = [
        *(
            f'<line class="grid" x1="60" x2="{_WIDTH}" y1="{top(v)}" y2="{top(v)}"/>'
            f'<text class="tick end" x="52" y="{top(v) + 4}">{100 * v:.0f} %</text>'
            for v in (0.0, 0.5, 1.0)
        ),
        f'<polyline class="curve" points="{path}"/>',
    ]
    most = max(n for _, n, _ in points)
    for x, n, y in points:
        radius = 3 + 6 * (n / most) ** 0.5
        parts += [
            _dot(across(x), top(y), radius, "variant", f"{x}: {100 * y:.1f} % of {n} users"),
            _text("tick", across(x), height - 24, str(x)),
        ]
    parts.append(f'<text class="tick" x="{_WIDTH / 2}" y="{height - 4}">{escape(x_name)}</text>')
    return _svg(parts, height, x_name)


def _dot(x: float, y: float, radius: float, kind: str, title: str) -> str:
    return (
        f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _bar(x: float, y: float, width: float, kind: str, title: str) -> str:
    return (
        f'<rect class="fill {kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{_ROW - 8}"><title>{escape(title)}</title></rect>'
    )


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


class _Scale:
    """From values to pixels."""

    def __init__(self, low: float, high: float, *, left: int = _LEFT, padded: bool = True) -> None:
        room = (high - low or abs(high) or 1.0) * (0.06 if padded else 0.0)
        self.low, self.high, self._left = low - room, high + room, left

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self._left + share * (_WIDTH - self._left - 60), 1)

    def ticks(self) -> list[float]:
        """Three to six round values over the range."""
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step)
        return [at * step for at in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _axis(scale: _Scale, height: float) -> list[str]:
    parts: list[str] = []
    for value in scale.ticks():
        x = scale(value)
        parts += [
            f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height - 24}"/>',
            f'<text class="tick" x="{x}" y="{height - 8}">{value:.3g}</text>',
        ]
    return parts


def _label(name: str, y: float) -> str:
    short = name if len(name) <= 28 else name[:27] + "…"
    return (
        f'<text class="name" x="{_LEFT - 10}" y="{y + 4}">{escape(short)}'
        f"<title>{escape(name)}</title></text>"
    )


def _svg(parts: Sequence[str], height: float, what: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(what)}">'
        + "".join(parts)
        + "</svg>"
    )
