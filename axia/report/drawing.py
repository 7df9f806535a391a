"""Figures as SVG, without any library: radar charts, a heat map, a risk-coverage curve.

Models differ by colour (Okabe and Ito's, which colour-blind readers tell apart), dash and marker, so that a print in
grey can be read as well. Each drawing has its title and figures in words.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from axia.lexicon import VALUES

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4", "4 2 1 2", "3 6")
_CENTRE, _RADIUS = (260.0, 215.0), 150.0
_RINGS = (25, 50, 75, 100)


def _point(place: int, count: int, share: float) -> tuple[float, float]:
    angle = 2 * math.pi * place / count - math.pi / 2
    return _CENTRE[0] + _RADIUS * share * math.cos(angle), _CENTRE[1] + _RADIUS * share * math.sin(angle)


def radar(percentages: Mapping[str, Mapping[str, float | None]]) -> str:
    """A radar chart of the ten values, 0 to 100; values without a figure break the line."""
    count, parts = len(VALUES), []
    for ring in _RINGS:
        corners = " ".join("{:.1f},{:.1f}".format(*_point(i, count, ring / 100)) for i in range(count))
        parts.append(f'<polygon points="{corners}" class="grid"/>')
        parts.append(
            f'<text x="{_CENTRE[0] + 3}" y="{_CENTRE[1] - _RADIUS * ring / 100 - 2:.1f}" class="tick">{ring}</text>'
        )
    for place, value in enumerate(VALUES):
        x, y = _point(place, count, 1)
        parts.append(f'<line x1="{_CENTRE[0]}" y1="{_CENTRE[1]}" x2="{x:.1f}" y2="{y:.1f}" class="grid"/>')
        x, y = _point(place, count, 1.12)
        anchor = "middle" if abs(x - _CENTRE[0]) < 20 else "start" if x > _CENTRE[0] else "end"  # noqa: PLR2004 - pixels
        parts.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{value}</text>')
    for index, (_, figures) in enumerate(percentages.items()):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        known = [(place, figure) for place, value in enumerate(VALUES) if (figure := figures.get(value)) is not None]
        points = [_point(place, count, figure / 100) for place, figure in known]
        shape = "polygon" if len(known) == count else "polyline"
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<{shape} points="{line}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    height = 440 + 20 * len(percentages)
    parts += _legend(list(percentages), 440)
    said = "; ".join(
        f"{model}: " + ", ".join(f"{value} {_percent(figures.get(value))}" for value in VALUES)
        for model, figures in percentages.items()
    )
    return _svg(520, height, "Radar chart of preference by value", said, parts)


def _percent(figure: float | None) -> str:
    return "not known" if figure is None else f"{figure:.0f}%"


def _legend(names: Sequence[str], y: int) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        at = y + 20 * index
        parts.append(
            f'<line x1="60" y1="{at - 4}" x2="100" y2="{at - 4}" stroke="{colour}" stroke-width="2.2" '
            f'stroke-dasharray="{dash}"/><text x="108" y="{at}">{escape(name)}</text>'
        )
    return parts


def heat_map(percentages: Mapping[str, Mapping[str, float | None]]) -> str:
    """Models by values, the figure in each cell and a shade from light to dark."""
    left, top, width, height = 150, 90, 54, 30
    parts = []
    for column, value in enumerate(VALUES):
        x = left + width * column + width / 2
        parts.append(f'<text x="{x}" y="{top - 8}" transform="rotate(-40 {x} {top - 8})">{value}</text>')
    for row, (model, figures) in enumerate(percentages.items()):
        y = top + height * row
        parts.append(f'<text x="{left - 8}" y="{y + 20}" text-anchor="end">{escape(model[-20:])}</text>')
        for column, value in enumerate(VALUES):
            figure = figures.get(value)
            share = 0 if figure is None else figure / 100
            shade = f"hsl(202 70% {96 - 62 * share:.0f}%)"
            ink = "#fff" if share > 0.55 else "#111"  # noqa: PLR2004 - where dark on dark would begin
            x = left + width * column
            parts.append(
                f'<rect x="{x}" y="{y}" width="{width - 2}" height="{height - 2}" fill="{shade}"/>'
                f'<text x="{x + width / 2 - 1}" y="{y + 20}" text-anchor="middle" style="fill:{ink}">'
                f"{'—' if figure is None else f'{figure:.0f}'}</text>"
            )
    said = "; ".join(
        f"{model}: " + ", ".join(f"{value} {_percent(figures.get(value))}" for value in VALUES)
        for model, figures in percentages.items()
    )
    size = left + width * len(VALUES) + 60, top + height * len(percentages) + 12
    return _svg(*size, "Heat map of preference", said, parts, wide=True)


def risk_coverage(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Risk among answered pictures (0 to 1) against the share that is answered (0 to 1)."""
    left, top, width, height = 60, 20, 420, 260
    parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" class="grid"/>']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = left + width * tick, top + height * (1 - tick)
        parts.append(f'<text x="{x}" y="{top + height + 18}" text-anchor="middle" class="tick">{tick:.2f}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end" class="tick">{tick:.2f}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">share answered</text>')
    parts.append(
        f'<text x="14" y="{top + height / 2}" transform="rotate(-90 14 {top + height / 2})" text-anchor="middle">'
        "errors among answered</text>"
    )
    for index, (_, curve) in enumerate(curves.items()):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        points = [(left + width * coverage, top + height * (1 - risk)) for coverage, risk in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    bottom = top + height + 62
    parts += _legend(list(curves), bottom)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{risk:.2f} errors at {coverage:.2f} answered" for coverage, risk in curve)
        for name, curve in curves.items()
    )
    return _svg(520, bottom + 20 * len(curves), "Risk and coverage", said, parts)


def _svg(width: float, height: float, title: str, said: str, parts: Sequence[str], *, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return (
        f'<svg{kind} viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>{''.join(parts)}</svg>"
    )
