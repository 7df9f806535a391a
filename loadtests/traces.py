"""Arrivals from a file, so that what users once sent can be sent again.

CSV with a header, or JSON lines; `at_s` is seconds from any time on, ascending or not, and `scenario` may be left out:

    at_s,scenario                    {"at_s": 0.0, "scenario": "detect"}
    0.0,detect                       {"at_s": 0.4, "scenario": "stream"}
    0.4,stream
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.errors import LoadError
from loadtests.records import Arrival

SUFFIXES = (".csv", ".jsonl", ".ndjson")


def read_trace(path: Path, *, scenario: str | None = None, speed: float = 1.0) -> list[Arrival]:
    """The arrivals of a file, from 0 s on, in the order of time.

    Args:
        path: A CSV or JSONL file.
        scenario: Scenario of rows that name none.
        speed: 2 sends them in half the time.

    Raises:
        LoadError: If it can't be read, or a row lacks a number; the message names the line.
    """
    if path.suffix not in SUFFIXES:
        raise LoadError(f"{path} is not a trace: give a file that ends in {', '.join(SUFFIXES)}")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file) if path.suffix == ".csv" else _json_lines(path, file)
            found = [_arrival(path, number, row, scenario) for number, row in enumerate(rows, 1)]
    except OSError as error:
        raise LoadError(f"can't read the trace {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LoadError(f"{path} is not a text file in UTF-8") from error
    if not found:
        raise LoadError(f"{path} has no arrivals: write rows with at_s, and with scenario if there are several")
    found.sort()
    first = found[0].at_s
    return [Arrival((at_s - first) / speed, name) for at_s, name in found]


def write_trace(path: Path, arrivals: Iterable[Arrival]) -> None:
    """Writes arrivals as CSV, for `read_trace`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Arrival._fields)
        writer.writerows((f"{arrival.at_s:.6f}", arrival.scenario) for arrival in arrivals)


def length_of(arrivals: Sequence[Arrival]) -> float:
    """Seconds that arrivals stand for: to the last one, and as long again as calls are apart on average."""
    last = arrivals[-1].at_s
    return last + (last / (len(arrivals) - 1) if last > 0 else 1.0)


def _json_lines(path: Path, lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise LoadError(
                f'line {number} of {path} is not JSON: write {{"at_s": 0.4, "scenario": "detect"}}'
            ) from error
        if not isinstance(row, dict):
            raise LoadError(f'line {number} of {path} is not an object: write {{"at_s": 0.4, "scenario": "detect"}}')
        yield row


def _arrival(path: Path, number: int, row: Mapping[str, Any], scenario: str | None) -> Arrival:
    name = row.get("scenario") or scenario
    if not name:
        raise LoadError(
            f"row {number} of {path} has no scenario: add a column `scenario`, or choose one with --scenario"
        )
    try:
        at_s = float(row["at_s"])
    except (KeyError, TypeError, ValueError):
        at_s = math.nan
    if not math.isfinite(at_s):
        raise LoadError(f"row {number} of {path} has {row.get('at_s')!r} as at_s: write seconds as a number")
    return Arrival(at_s, str(name))
