"""Arrivals from a file."""

from pathlib import Path

import pytest

from loadtests.errors import LoadError
from loadtests.records import Arrival
from loadtests.traces import length_of, read_trace, write_trace


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    table, lines = tmp_path / "trace.csv", tmp_path / "trace.jsonl"
    table.write_text("at_s,scenario\n100.5,stream\n100.0,detect\n")
    lines.write_text('{"at_s": 100.5, "scenario": "stream"}\n\n{"at_s": 100.0, "scenario": "detect"}\n')
    assert read_trace(table) == read_trace(lines) == [Arrival(0.0, "detect"), Arrival(0.5, "stream")]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    arrivals = [Arrival(0.0, "detect"), Arrival(0.25, "stream"), Arrival(1.0, "isq")]
    write_trace(tmp_path / "trace.csv", arrivals)
    assert read_trace(tmp_path / "trace.csv") == arrivals


def test_a_trace_is_sent_faster_and_its_rows_may_lack_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("at_s\n0\n4\n")
    arrivals = read_trace(tmp_path / "trace.csv", scenario="isq", speed=2)
    assert arrivals == [Arrival(0.0, "isq"), Arrival(2.0, "isq")]
    assert length_of(arrivals) == 4.0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("trace.txt", "", "is not a trace"),
        ("trace.csv", "at_s,scenario\n", "has no arrivals"),
        ("trace.csv", "at_s,scenario\nsoon,detect\n", "row 1 .* has 'soon' as at_s"),
        ("trace.csv", "at_s,scenario\nnan,detect\n", "row 1 .* as at_s"),
        ("trace.csv", "time,scenario\n1,detect\n", "row 1 .* has None as at_s"),
        ("trace.csv", "at_s\n1\n", "row 1 .* has no scenario"),
        ("trace.jsonl", '{"at_s": 1, "scenario": "detect"}\n{"at_s"', "line 2 of .* is not JSON"),
        ("trace.jsonl", "[1]\n", "line 1 of .* is not an object"),
    ],
)
def test_what_is_no_trace_is_refused_by_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LoadError, match=said):
        read_trace(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"can't read the trace .*missing.csv"):
        read_trace(tmp_path / "missing.csv")
