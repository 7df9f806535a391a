from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.embedder import Embedder
from services.scoring.evaluate_response_types import PARTS, report_response_types
from services.scoring.response_types import (
    INDEPENDENT,
    JUDGED,
    LABELLED,
    UNJUDGED,
    ResponseType,
    ResponseTypeClassifier,
)
from services.scoring.train_language import read_labelled


@pytest.fixture(scope="module")
def classifier(embedder: Embedder) -> ResponseTypeClassifier:
    return ResponseTypeClassifier(embedder)


@pytest.mark.parametrize(("path", "split"), PARTS, ids=[split for _, split in PARTS])
def test_macro_f1_is_at_least_ninety_percent(classifier: ResponseTypeClassifier, path: Path, split: str) -> None:
    assert report_response_types(classifier, path, split) >= 0.90


def test_the_independent_sentences_share_none_with_the_training_part() -> None:
    independent = read_labelled(INDEPENDENT, "independent")
    assert len(independent) >= 160
    train = {row["text"].casefold() for row in read_labelled(LABELLED, "train")}
    assert not train & {row["text"].casefold() for row in independent}


def test_the_labelled_set_is_large_balanced_and_split_by_family() -> None:
    train, held_out = read_labelled(LABELLED, "train"), read_labelled(LABELLED, "held-out")
    rows = train + held_out
    assert len(rows) >= 400
    assert len({row["text"] for row in rows}) == len(rows)
    counts = [sum(row["type"] == kind for row in rows) for kind in map(int, JUDGED)]
    assert min(counts) / max(counts) > 0.75
    assert not {row["family"] for row in train} & {row["family"] for row in held_out}


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("the child", ResponseType.DESCRIPTIVE),
        ("the child is writing on the wall", ResponseType.VALUE_AWARE),
        ("none", ResponseType.NONE),
        ("The image is too blurry to tell.", ResponseType.PICTURE_QUALITY),
    ],
)
def test_the_examples_of_the_study(classifier: ResponseTypeClassifier, sentence: str, kind: ResponseType) -> None:
    (result,) = classifier.classify([sentence])
    assert result.type is kind
    assert result.confidence == max(result.probabilities) > 0.5


@pytest.mark.parametrize(
    "sentence", ["", "   ", "...", "123", "🔥🔥", "孩子靠近炉子", "الطفل قريب من الموقد", "Ребёнок у плиты"]
)
def test_what_cannot_be_read_is_unspecified(classifier: ResponseTypeClassifier, sentence: str) -> None:
    assert classifier.classify(["the child", sentence])[1] == UNJUDGED


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_probabilities_sum_to_one_or_are_all_zero(classifier: ResponseTypeClassifier, sentences: list[str]) -> None:
    results = classifier.classify(sentences)
    assert len(results) == len(sentences)
    for result in results:
        total = sum(result.probabilities)
        if result.type is ResponseType.UNSPECIFIED:
            assert total == 0
        else:
            assert total == pytest.approx(1)
            assert 0.25 <= result.confidence <= 1


def test_what_comes_before_the_letters_does_not_hide_them(classifier: ResponseTypeClassifier) -> None:
    plain, *padded = classifier.classify(["The child", "\n" * 5000 + "The child", " " * 9000 + "The child"])
    assert [result.type for result in padded] == [plain.type] * 2


def test_order_does_not_matter(classifier: ResponseTypeClassifier) -> None:
    sentences = ["the child", "none", "Smoke fills the kitchen.", "", "too dark"]
    forward, backward = classifier.classify(sentences), classifier.classify(sentences[::-1])
    assert [r.type for r in forward] == [r.type for r in backward][::-1]
