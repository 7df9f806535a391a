"""Figures as inline SVG, whose colours are the page's, so that they follow its light, dark and printed form."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 16, 44
_TICKS = 5


class Line(NamedTuple):
    """A series. Where a value is None the line has a gap."""

    label: str
    colour: str
    """A CSS class of the page: "one", "two", "three", "four" or "bad"."""
    values: Sequence[float | None]
    dashed: bool = False


class Axis(NamedTuple):
    """What an axis measures."""

    label: str
    unit: str = ""


def lines(title: str, x_values: Sequence[float], series: Sequence[Line], x_axis: Axis, y_axis: Axis) -> str:
    """Lines over a common axis. Both axes begin at 0.

    Args:
        title: What the figure shows, for readers who can't see it.
        x_values: Places of the values, ascending and not negative.
        series: As many values each.
        x_axis: What the places are.
        y_axis: What the values are.
    """
    top = max((value for line in series for value in line.values if value is not None), default=0.0)
    steps = ticks(0.0, top or 1.0)
    scale = _Scale(0.0, max(x_values), steps[-1])
    x_steps = [step for step in ticks(scale.left, scale.right) if scale.left <= step <= scale.right]
    parts = [_grid(scale, steps, y_axis), _bottom(scale, x_steps, [number(step) for step in x_steps], x_axis)]
    for line in series:
        parts.append(_path(scale, x_values, line))
        parts += [
            f'<circle class="dot {line.colour}" cx="{scale.x(at):.1f}" cy="{scale.y(value):.1f}" r="6">'
            f"<title>{escape(line.label)} at {number(at)}{x_axis.unit}: {number(value)}{y_axis.unit}</title></circle>"
            for at, value in zip(x_values, line.values, strict=True)
            if value is not None
        ]
    return _figure(title, parts, series)


def percentile_curve(title: str, series: Sequence[tuple[str, str, Sequence[float]]], y_axis: Axis) -> str:
    """Latency by percentile, on an axis that gives each further nine the same room, so that the tail can be seen.

    Args:
        title: What the figure shows.
        series: Label, colour and ascending values of each line, at least one.
        y_axis: What the values are.
    """
    longest = max(len(values) for _, _, values in series)
    nines = max(1.0, math.log10(longest))
    places = [nines * step / 200 for step in range(201)]
    drawn = [
        Line(label, colour, [values[min(len(values) - 1, int((1 - 10**-at) * len(values)))] for at in places])
        for label, colour, values in series
    ]
    top = max(value for line in drawn for value in line.values if value is not None)
    steps = ticks(0.0, top or 1.0)
    scale = _Scale(0.0, nines, steps[-1])
    shares = [share for share in (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999) if -math.log10(1 - share) <= nines]
    x_steps = [-math.log10(1 - share) for share in shares]
    labels = [f"{100 * share:.6g}%" for share in shares]
    parts = [_grid(scale, steps, y_axis), _bottom(scale, x_steps, labels, Axis("share of the calls"))]
    parts += [_path(scale, places, line) for line in drawn]
    return _figure(title, parts, drawn)


def bars(title: str, values: Sequence[tuple[str, float]], unit: str = "") -> str:
    """Horizontal bars with their values."""
    row, left = 28, 200
    top = max(value for _, value in values) or 1.0
    parts = []
    for place, (label, value) in enumerate(values):
        y = place * row
        width = (WIDTH - left - 110) * value / top
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 18}" text-anchor="end">{escape(label)}</text>'
            f'<rect class="bar bad" x="{left}" y="{y + 5}" width="{max(1.0, width):.1f}" height="18" rx="2"/>'
            f'<text class="tick" x="{left + width + 6:.1f}" y="{y + 18}">{number(value)}{escape(unit)}</text>'
        )
    return _svg(title, "".join(parts), len(values) * row + 8)


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers that cover a range."""
    rough = (high - low) / _TICKS or 1.0
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def number(value: float) -> str:
    """A number with three significant digits, and no more places than it needs."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


class _Scale(NamedTuple):
    left: float
    right: float
    top: float

    def x(self, value: float) -> float:
        width = WIDTH - _LEFT - _RIGHT
        return _LEFT + width * (value - self.left) / ((self.right - self.left) or 1.0)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / self.top


def _grid(scale: _Scale, steps: Sequence[float], axis: Axis) -> str:
    middle = (HEIGHT - _BOTTOM + _TOP) / 2
    rows = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{scale.y(step):.1f}" y2="{scale.y(step):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{scale.y(step) + 4:.1f}" text-anchor="end">{number(step)}</text>'
        for step in steps
    )
    return f'{rows}<text class="axis" transform="translate(14 {middle:.0f}) rotate(-90)">{escape(_named(axis))}</text>'


def _bottom(scale: _Scale, steps: Sequence[float], labels: Sequence[str], axis: Axis) -> str:
    base = HEIGHT - _BOTTOM
    marks = "".join(
        f'<text class="tick" x="{scale.x(step):.1f}" y="{base + 20}" text-anchor="middle">{escape(label)}</text>'
        for step, label in zip(steps, labels, strict=True)
    )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return f'{marks}<text class="axis" x="{middle:.0f}" y="{HEIGHT - 6}">{escape(_named(axis))}</text>'


def _named(axis: Axis) -> str:
    return f"{axis.label} ({axis.unit.strip()})" if axis.unit.strip() else axis.label


def _path(scale: _Scale, places: Sequence[float], line: Line) -> str:
    drawn, pen = [], "M"
    for at, value in zip(places, line.values, strict=True):
        if value is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{scale.x(at):.1f} {scale.y(value):.1f}")
        pen = "L"
    dashes = " dashed" if line.dashed else ""
    return f'<path class="line {line.colour}{dashes}" d="{" ".join(drawn)}"/>'


def _figure(title: str, parts: Sequence[str], series: Sequence[Line]) -> str:
    legend = "".join(
        f'<span><i class="key {line.colour}{" dashed" if line.dashed else ""}"></i>{escape(line.label)}</span>'
        for line in series
    )
    return f'<div class="legend">{legend}</div>{_svg(title, "".join(parts), HEIGHT)}'


def _svg(title: str, inside: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )
