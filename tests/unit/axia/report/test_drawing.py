"""Figures: marks stand where the figures say, and each says its figures in words."""

import math
import re
from xml.etree import ElementTree

import pytest

from axia.lexicon import VALUES
from axia.report.drawing import COLOURS, DASHES, heat_map, radar, risk_coverage

CENTRE, RADIUS = (260.0, 215.0), 150.0


def tags(svg: str, name: str) -> list[ElementTree.Element]:
    return [element for element in ElementTree.fromstring(svg).iter() if element.tag == name]  # noqa: S314 - our own


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(found.attrib["cx"]), float(found.attrib["cy"])) for found in tags(svg, "circle")]


def words(svg: str) -> str:
    (found,) = tags(svg, "desc")
    return found.text or ""


def test_a_radar_puts_each_value_on_its_axis_at_its_share() -> None:
    percentages = {value: 10.0 * place for place, value in enumerate(VALUES)}
    for place, (x, y) in enumerate(circles(radar({"m": percentages}))):
        share = place / 10
        assert math.dist((x, y), CENTRE) == pytest.approx(RADIUS * share, abs=0.1)
        if share:
            angle = math.atan2(y - CENTRE[1], x - CENTRE[0]) + math.pi / 2
            assert angle % (2 * math.pi) == pytest.approx(2 * math.pi * place / len(VALUES), abs=0.01)


def test_a_value_without_a_figure_leaves_the_line_open() -> None:
    whole = dict.fromkeys(VALUES, 50.0)
    drawn = radar({"m": whole | {VALUES[3]: None}})
    assert len(circles(drawn)) == len(VALUES) - 1
    assert len(tags(drawn, "polyline")) == 1
    assert f"{VALUES[3]} not known" in words(drawn)
    assert tags(radar({"m": whole}), "polyline") == []


def test_models_differ_by_colour_and_dash_and_their_names_are_escaped() -> None:
    drawn = radar({name: dict.fromkeys(VALUES, 50.0) for name in ("one", "two & three")})
    lines = [found for found in tags(drawn, "polygon") if "stroke" in found.attrib]
    assert [found.attrib["stroke"] for found in lines] == list(COLOURS[:2])
    assert [found.attrib["stroke-dasharray"] for found in lines] == list(DASHES[:2])
    assert "two & three" in [found.text for found in tags(drawn, "text")]
    assert len(set(DASHES)) == len(set(COLOURS)) == 8


def test_a_heat_map_has_darker_cells_for_more_and_a_dash_for_no_figure() -> None:
    drawn = heat_map({"m": {**dict.fromkeys(VALUES, 0.0), VALUES[0]: 100.0, VALUES[1]: 40.0, VALUES[2]: None}})
    shades = [
        int(found[1])
        for rect in tags(drawn, "rect")
        if (found := re.match(r"hsl\(202 70% (\d+)%\)", rect.attrib["fill"]))
    ]
    assert len(shades) == len(VALUES)
    assert shades[0] < shades[1] < shades[3]
    texts = [found.text for found in tags(drawn, "text")]
    assert {"100", "40", "—"} <= set(texts)
    assert f"{VALUES[0]} 100%" in words(drawn)


def test_a_curve_of_risk_begins_below_and_grows_to_the_right() -> None:
    drawn = risk_coverage({"m": [(0.25, 0.0), (0.5, 0.1), (1.0, 0.5)]})
    (x1, y1), (x2, y2), (x3, y3) = circles(drawn)
    assert x1 < x2 < x3
    assert y1 > y2 > y3  # an SVG's y grows downwards
    assert (y1 - y3) / (y1 - y2) == pytest.approx(5, abs=0.05)
    assert words(drawn) == "m: 0.00 errors at 0.25 answered, 0.10 errors at 0.50 answered, 0.50 errors at 1.00 answered"
