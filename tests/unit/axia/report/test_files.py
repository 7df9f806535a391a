"""Tables as CSV and LaTeX: no digit is lost, and no mark breaks the document."""

import csv
import io
import re

import pytest

from axia.report.files import as_csv, as_latex
from axia.report.page import page
from axia.report.parts import PValue, Section, Table, ends, p_value, shown
from axia.results.scoring import Interval

TABLE = Table(
    "scores", "Scores of 50% & more_or_less", ("model", "mean", "p", "answers"),
    [["a_b#1", 1 / 3, p_value(0.00004), 12], ["<script>", None, p_value(0.25), 7]], "A note.",
)  # fmt: skip


def test_csv_has_every_digit_and_an_empty_field_for_no_figure() -> None:
    header, first, second = csv.reader(io.StringIO(as_csv(TABLE)))
    assert header == list(TABLE.header)
    assert float(first[1]) == 1 / 3
    assert float(first[2]) == 0.00004
    assert second[1] == ""


def test_latex_escapes_what_it_would_read_as_commands() -> None:
    text = as_latex(TABLE)
    assert r"\caption{Scores of 50\% \& more\_or\_less}" in text
    assert r"a\_b\#1 & 0.33 & < 0.001 & 12 \\" in text.replace(r"\textless{}", "<")
    assert r"\textless{}script\textgreater{}" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert text.count("{") == text.count("}")
    assert not re.search(r"(?<!\\)[%#_]", text.replace(r"\label{tab:scores}", ""))


@pytest.mark.parametrize(
    ("cell", "digits", "expected"),
    [
        (None, 2, "—"), (0.005, 2, "0.01"), (0.005, 1, "0.0"), (3, 2, "3"), ("x", 2, "x"),
        (PValue(0.0009), 2, "< 0.001"),
        (PValue(0.0421), 1, "0.042"), (PValue(1.0), 2, "1.000"),
    ],
)  # fmt: skip
def test_cells_are_shown_as_a_reader_expects(cell: float | str | None, digits: int, expected: str) -> None:
    assert shown(cell, digits) == expected


def test_ends_of_an_interval_can_be_percentages() -> None:
    assert ends(Interval(low=0.25, high=0.5, level=0.95, method="wilson"), 100) == (25.0, 50.0)
    assert ends(None) == (None, None)


def test_a_page_escapes_texts_and_names_its_tables_for_screen_readers() -> None:
    document = page("A & B", "Models: <b>", [Section("s", "Part <1>", ["5 < 6"], [TABLE])], "")
    assert "<title>A &amp; B</title>" in document
    assert "<p>5 &lt; 6</p>" in document
    assert "&lt;script&gt;" in document
    assert "<script>" not in document.split("<main", 1)[1].split("</main>", 1)[0]
    assert '<h3 id="t-scores">' in document
    assert 'aria-labelledby="t-scores"' in document
    assert document.count('<th scope="col"') == 4
    assert document.count('<th scope="row">') == 2
    assert "://" not in document  # nothing is asked of a network
