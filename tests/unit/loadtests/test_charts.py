"""Figures as SVG."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.report.charts import Axis, Line, bars, lines, percentile_curve, ticks


@given(st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_cover_the_range(high: float) -> None:
    steps = ticks(0.0, high)
    assert 3 <= len(steps) <= 12
    assert steps[0] <= 0
    assert steps[-1] >= high * (1 - 1e-6)


def drawings() -> dict[str, str]:
    seconds = Axis("time", " s")
    series = [Line("a < b", "one", [1.0, None, 3.0]), Line("none", "two", [None, None, None], dashed=True)]
    return {
        "lines": lines("title & more", [0.0, 1.0, 2.0], series, seconds, Axis("calls", "/s")),
        "zero": lines("nothing", [0.5], [Line("a", "one", [0.0])], seconds, Axis("calls")),
        "curve": percentile_curve("tail", [("detect", "one", [1.0, 2.0, 50.0])], Axis("latency", " ms")),
        "curve of one": percentile_curve("tail", [("detect", "one", [1.0])], Axis("latency", " ms")),
        "bars": bars("errors", [("UNAVAILABLE", 3.0), ("<b>", 1.0)]),
    }


@pytest.mark.parametrize("name", drawings())
def test_a_drawing_is_well_formed_and_within_its_frame(name: str) -> None:
    drawing = ET.fromstring(f"<div>{drawings()[name]}</div>")  # noqa: S314 - our own
    svg = drawing.find("svg")
    assert svg is not None
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    assert svg.findtext("title")
    for element in svg.iter():
        for name_, limit in (("x", width), ("cx", width), ("x2", width), ("y", height), ("cy", height), ("y2", height)):
            assert 0 <= float(element.attrib.get(name_, 0)) <= limit


def test_a_gap_begins_a_new_line() -> None:
    drawing = lines("gap", [0.0, 1.0, 2.0], [Line("a", "one", [1.0, None, 3.0])], Axis("x"), Axis("y"))
    path = ET.fromstring(f"<div>{drawing}</div>").find(".//path")  # noqa: S314 - our own
    assert path is not None
    assert path.attrib["d"].count("M") == 2
