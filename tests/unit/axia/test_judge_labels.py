"""Files of labelled answers."""

import hashlib
import json
from pathlib import Path

import pytest

from axia.judges.labels import load
from tests.support import processes


def rows(path: Path, *given: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in given))
    return path


def test_the_projects_own_labels_are_read() -> None:
    path = processes.ROOT / "tests" / "data" / "reading" / "alignment_pairs_1.jsonl"
    found = load(path, labelled=True)
    assert len(found.rows) == len(found.items) == 36
    assert {row.aligned for row in found.rows} == {0, 1}
    assert found.clusters is None
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_all_fields_are_read(tmp_path: Path) -> None:
    full = {
        "answer": "a\u2028pot", "element": "pot", "accept": ["pan"], "aligned": True, "picture": "a.jpg",
        "model": "llava", "judge_answers": {"gpt": "Yes.", "only-here": "No."},
    }  # fmt: skip
    other = {"answer": "", "element": "none", "aligned": 0, "picture": "b.jpg", "judge_answers": {"gpt": "No."}}
    found = load(rows(tmp_path / "labels.jsonl", full, "", other), labelled=True)
    first, second = found.rows
    assert (first.item.answer, first.item.element, first.item.accept) == ("a\u2028pot", "pot", ("pan",))
    assert (first.aligned, first.picture, first.model) == (1, "a.jpg", "llava")
    assert (second.item.answer, second.aligned, second.model) == ("", 0, "")
    assert found.clusters == ["a.jpg", "b.jpg"]
    assert found.recorded_judges == ["gpt"]


def test_unlabelled_rows_have_no_labels(tmp_path: Path) -> None:
    row = {"answer": "a pot", "element": "pot"}
    assert load(rows(tmp_path / "a.jsonl", row), labelled=False).rows[0].aligned is None
    with pytest.raises(ValueError, match="line 1: has a label"):
        load(rows(tmp_path / "b.jsonl", {**row, "aligned": 1}), labelled=False)


GOOD = {"answer": "a pot", "element": "pot", "aligned": 1}


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ([], "has no rows"),
        (['{"answer": "a'], "line 1: is not JSON"),
        (["7"], "line 1: is not a JSON object"),
        (["[" * 100_000], "line 1: is not JSON"),
        ([GOOD, "", {"answer": "x", "aligned": 1}], "line 3: element is missing"),
        ([{"element": "x", "aligned": 1}], "answer is missing"),
        ([{**GOOD, "element": " "}], 'element must not be empty: give "none"'),
        ([{**GOOD, "answer": 7}], "answer must be a text"),
        ([{**GOOD, "answer": "\ud800"}], "answer must be a text"),
        ([{**GOOD, "accept": "x"}], "accept must be a list of texts"),
        ([{**GOOD, "accept": [""]}], "accept must be a list of texts"),
        ([{**GOOD, "accept": ["x"] * 65}], "accept has 65 texts, and at most 64"),
        ([{**GOOD, "acept": []}], "'acept' is not a field: a row has answer, element"),
        ([{**GOOD, "aligned": None}], "aligned must be 1"),
        ([{**GOOD, "aligned": 2}], "aligned must be 1"),
        ([{**GOOD, "aligned": "1"}], "aligned must be 1"),
        ([{**GOOD, "aligned": 1.0}], "aligned must be 1"),
        ([{**GOOD, "judge_answers": ["yes"]}], "judge_answers must be an object"),
        ([{**GOOD, "judge_answers": {"gpt": 1}}], "judge_answers must be an object"),
        (['{"answer": "x", "element": "y", "aligned": 1, "element": "z"}'], "element is given twice"),
        ([{**GOOD, "picture": "a"}, GOOD], 'line 2: some rows have the field "picture" and others don\'t'),
    ],
)
def test_a_bad_row_is_told_by_its_line(tmp_path: Path, given: list[object], advice: str) -> None:
    with pytest.raises(ValueError, match=r"labels\.jsonl") as raised:
        load(rows(tmp_path / "labels.jsonl", *given), labelled=True)
    assert advice in str(raised.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "labels.jsonl", tmp_path, tmp_path / "gone"):
        with pytest.raises(ValueError, match="can't be read: give a text file"):
            load(path, labelled=True)
