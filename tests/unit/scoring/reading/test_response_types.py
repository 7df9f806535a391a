import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.reading.model import OnnxReader
from services.scoring.reading.response_types import UNJUDGED, ResponseType, ResponseTypeClassifier, is_literally_none


@pytest.fixture(scope="module")
def classifier(reader: OnnxReader) -> ResponseTypeClassifier:
    return ResponseTypeClassifier(reader)


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("the child", ResponseType.DESCRIPTIVE),
        ("the child is writing on the wall", ResponseType.VALUE_AWARE),
        ("none", ResponseType.NONE),
        ("The image is too blurry to tell.", ResponseType.PICTURE_QUALITY),
        ("I'm sorry, but I can't assist with that request.", ResponseType.REFUSAL),
        ("The old man on the floor can't get up and needs attention.", ResponseType.VALUE_AWARE),
        ("No one is watching the child at the pool.", ResponseType.VALUE_AWARE),
        ("There is nothing in this picture that needs attention.", ResponseType.NONE),
    ],
)
def test_the_examples_of_the_study(classifier: ResponseTypeClassifier, sentence: str, kind: ResponseType) -> None:
    (result,) = classifier.classify([sentence])
    assert result.type is kind
    assert result.confidence == max(result.probabilities) > 0.5


@pytest.mark.parametrize(
    "sentence",
    ["Nothing but its own weight is keeping the load in place.", "Nothing except a thin rope holds the ladder."],
)
def test_an_exception_to_nothing_is_named(classifier: ResponseTypeClassifier, sentence: str) -> None:
    assert classifier.classify([sentence])[0].type is not ResponseType.NONE


@pytest.mark.parametrize("sentence", ["", "   ", "...", "123", "🔥🔥"])
def test_what_has_no_words_is_unspecified(classifier: ResponseTypeClassifier, sentence: str) -> None:
    assert classifier.classify(["the child", sentence])[1] == UNJUDGED


@pytest.mark.parametrize(
    "sentence",
    ["孩子靠近炉子", "الطفل قريب من الموقد", "Ребёнок у плиты", "El niño está muy cerca de la estufa caliente."],
)
def test_what_is_in_another_language_is_unspecified_and_says_so(
    classifier: ResponseTypeClassifier, sentence: str
) -> None:
    result = classifier.classify(["the child", sentence])[1]
    assert (result.type, result.confidence, sum(result.probabilities)) == (ResponseType.UNSPECIFIED, 0, 0)
    assert result.language


@pytest.mark.parametrize("sentence", ["Sure!", "Here is my analysis of the image:"])
def test_a_sentence_that_is_no_answer_has_no_type(classifier: ResponseTypeClassifier, sentence: str) -> None:
    (result,) = classifier.classify([sentence])
    assert result.type is ResponseType.UNSPECIFIED
    assert 0 < sum(result.probabilities) < 0.5


@pytest.mark.parametrize("sentence", ["None.", "none", '"None"', "**None**", "N/A", "No.", "Nothing"])
def test_a_bare_none_is_literal(sentence: str) -> None:
    assert is_literally_none(sentence)


@pytest.mark.parametrize("sentence", ["", "None of them wears a helmet.", "Nothing keeps him from falling.", "nun"])
def test_more_than_a_bare_none_is_not_literal(sentence: str) -> None:
    assert not is_literally_none(sentence)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_probabilities_are_probabilities(classifier: ResponseTypeClassifier, sentences: list[str]) -> None:
    results = classifier.classify(sentences)
    assert len(results) == len(sentences)
    for result in results:
        assert len(result.probabilities) == 5
        assert 0 <= sum(result.probabilities) <= 1 + 1e-9
        assert 0 <= result.confidence <= 1


def test_what_comes_before_the_letters_does_not_hide_them(classifier: ResponseTypeClassifier) -> None:
    plain, *padded = classifier.classify(["The child", "\n" * 5000 + "The child", " " * 9000 + "The child"])
    assert [result.type for result in padded] == [plain.type] * 2


def test_order_does_not_matter(classifier: ResponseTypeClassifier) -> None:
    sentences = ["the child", "none", "Smoke fills the kitchen.", "", "too dark"]
    forward, backward = classifier.classify(sentences), classifier.classify(sentences[::-1])
    assert [r.type for r in forward] == [r.type for r in backward][::-1]
