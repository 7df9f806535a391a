"""helm 3 beside helm 4: the same objects, and the same values refused. tests/chart/README.md says where it is from."""

import re

import pytest

from tests.chart.test_chart_refusals import REFUSED
from tests.support.cluster import chart


def test_the_two_are_of_different_versions() -> None:
    assert chart.run("version", "--short", program=chart.helm3()).text.startswith("v3.")


@pytest.mark.parametrize("name", chart.renderings())
def test_it_renders_the_same_objects(name: str) -> None:
    files, sets = ([chart.PROFILES[name]], ()) if name in chart.PROFILES else ([], chart.SWITCHES[name])
    assert tuple(chart.template(files, sets, program=chart.helm3()).objects) == chart.rendered(name)


@pytest.mark.parametrize("name", [None, *chart.PROFILES])
def test_the_chart_lints_strictly(name: str | None) -> None:
    files = [chart.PROFILES[name]] if name else []
    done = chart.run("lint", "--strict", str(chart.CHART), *chart.options(files), program=chart.helm3())
    assert done.code == 0, done.text + done.error


@pytest.mark.parametrize(("sets", "message"), REFUSED)
def test_the_same_values_are_refused(sets: tuple[str, ...], message: str) -> None:
    done = chart.template(sets=sets, program=chart.helm3())
    assert done.code != 0
    if of_schema := re.search(r"at '/([\w/]+)'", message):
        # Another library reads the schema, with words of its own; it names the same value.
        assert of_schema[1].replace("/", ".") in done.error, done.error
    elif not re.search(r"additional properties|missing property|must be one of", message):
        assert message in done.error, done.error
