import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.reading.labels import Question, Relation
from services.scoring.reading.model import PACKAGED, OnnxReader, Pair, load_reader
from services.scoring.reading.one_call_reader import OneCallReader
from services.serving.errors import FailedPrecondition
from services.serving.metrics import REGISTRY

PAIR = Pair("A toddler reaches for the boiling pot.", "child near the hot stove")


def test_a_concern_in_other_words_is_the_same(reader: OnnxReader) -> None:
    same, other, denied = reader.relate(
        [PAIR, Pair("The curtains are blue.", PAIR.second), Pair("The stove is off and no child is near.", PAIR.second)]
    )
    assert same.argmax() == Relation.SAME
    assert other.argmax() == Relation.NEITHER
    assert denied.argmax() == Relation.CONTRADICTS


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_has_probabilities(reader: OnnxReader, texts: list[str]) -> None:
    described = reader.describe(texts)
    rows = [described.types, described.values, reader.decide(Question.LIKE, texts)]
    rows.append(reader.relate([Pair(text, "a") for text in texts]))
    for row in rows:
        assert len(row) == len(texts)
        assert np.all((row >= 0) & (row <= 1))
        assert row.sum(axis=1) == pytest.approx(np.ones(len(texts)))


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a" * 100_000, "🔥" * 5_000, "\n" * 9_000 + "The child"])
def test_hostile_texts_have_probabilities(reader: OnnxReader, text: str) -> None:
    assert reader.relate([Pair(text, text)]).sum() == pytest.approx(1)


def test_a_result_never_depends_on_what_came_with_it(reader: OnnxReader) -> None:
    alone = load_reader(threads=2).relate([PAIR])[0]
    among = load_reader(threads=2).relate([Pair("x" * 400, "y"), PAIR, Pair("a", "b")])[1]
    assert np.array_equal(alone, among)
    assert np.array_equal(alone, reader.relate([PAIR])[0])


def test_a_single_call_reads_each_sentence_once(reader: OnnxReader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    describe = OnnxReader.describe
    monkeypatch.setattr(OnnxReader, "describe", lambda model, texts: asked.extend(texts) or describe(model, texts))
    once = OneCallReader(reader)
    first = once.describe(["a stove", "a child", "a stove"])
    again = once.describe(["a child", "a stove"])
    assert asked == ["a stove", "a child"]
    assert np.array_equal(first.types[[1, 0]], again.types)


def test_sentences_of_like_meaning_have_like_vectors(reader: OnnxReader) -> None:
    vectors = reader.describe([*PAIR, "The bus has no wheelchair ramp."]).vectors
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.3 + vectors[0] @ vectors[2]


def test_what_was_read_before_is_counted_as_remembered() -> None:
    def counted(source: str) -> float:
        return REGISTRY.get_sample_value("axia_scoring_reader_texts_total", {"task": "type", "source": source}) or 0.0

    reader, before = load_reader(threads=1, remembered=10), [counted("computed"), counted("remembered")]
    reader.describe(["a stove", "a stove", "a child"])
    reader.describe(["a stove", "a dog"])
    assert [counted("computed") - before[0], counted("remembered") - before[1]] == [3, 1]


def test_no_texts_have_no_rows(reader: OnnxReader) -> None:
    assert reader.relate([]).shape == (0, 3)
    assert reader.describe([]).values.shape == (0, 11)
    assert reader.describe([]).vectors.shape[0] == 0


def test_the_model_is_small_enough_to_be_carried_and_names_its_revision(reader: OnnxReader) -> None:
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) <= 25_000_000
    assert reader.name == "axia-reader"
    assert len(reader.revision) == 12


def test_a_folder_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"model\.onnx.*make reader-model") as caught:
        load_reader(tmp_path)
    assert caught.value.reason == "READER_MISSING"


def test_a_model_of_another_release_is_refused(tmp_path: Path) -> None:
    shutil.copytree(PACKAGED, tmp_path / "reader")
    (tmp_path / "reader" / "reader.json").write_text(json.dumps({"name": "other"}))
    with pytest.raises(FailedPrecondition, match=r"reader\.json") as caught:
        load_reader(tmp_path / "reader")
    assert caught.value.reason == "READER_UNSUPPORTED"
