from collections.abc import Callable

import pytest

from services.scoring.reading.alignment import AlignmentItem, Judge
from services.scoring.reading.grouping import GroupBy
from services.scoring.reading.labels import Question
from services.scoring.reading.language import Language
from services.scoring.reading.model import OnnxReader
from services.serving.errors import FailedPrecondition, InvalidArgument

LONG = "a" * 100_000
ITEM = AlignmentItem("The stove is on.", "stove on")


@pytest.fixture(scope="module")
def language(reader: OnnxReader) -> Language:
    return Language(reader)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda lg: lg.classify([]), "sentences"),
        (lambda lg: lg.attribute([]), "sentences"),
        (lambda lg: lg.summarize([], 0.5), "sentences"),
        (lambda lg: lg.align([], Judge.LEXICAL), "items"),
        (lambda lg: lg.classify(["a", LONG]), "sentences[1]"),
        (lambda lg: lg.attribute(["a", "b", LONG]), "sentences[2]"),
        (lambda lg: lg.summarize([LONG], 0.5), "sentences[0]"),
        (lambda lg: lg.classify(["a"] * 10_001), "sentences"),
        (lambda lg: lg.summarize(["a"] * 257, 0.5), "sentences"),
        (lambda lg: lg.summarize(["a"], 1.5), "abstain_threshold"),
        (lambda lg: lg.summarize(["a"], float("nan")), "abstain_threshold"),
        (lambda lg: lg.align([ITEM, AlignmentItem(LONG, "a")], Judge.LEXICAL), "items[1].answer"),
        (lambda lg: lg.align([AlignmentItem("a", " ")], Judge.LEXICAL), "items[0].element"),
        (lambda lg: lg.align([AlignmentItem("a", LONG)], Judge.SEMANTIC), "items[0].element"),
        (lambda lg: lg.align([AlignmentItem("a", "b", ("c", ""))], Judge.LEXICAL), "items[0].accept[1]"),
        (lambda lg: lg.align([AlignmentItem("a", "b", ("c",) * 65)], Judge.LEXICAL), "items[0].accept"),
        (lambda lg: lg.align([AlignmentItem("a", "孩子")], Judge.SEMANTIC), "items[0].element"),
        (lambda lg: lg.align([AlignmentItem("a", "b", (), LONG)], Judge.MODEL), "items[0].model_answer"),
        (lambda lg: lg.decide(Question.LIKE, []), "answers"),
        (lambda lg: lg.decide(Question.LIKE, ["yes", LONG]), "answers[1]"),
    ],
)
def test_bad_input_is_named_by_field_and_index(
    language: Language, call: Callable[[Language], object], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call(language)
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    "call",
    [
        lambda lg: lg.classify(["a"]),
        lambda lg: lg.attribute(["a"]),
        lambda lg: lg.summarize(["a"], 0.5, GroupBy.SEMANTIC),
        lambda lg: lg.align([ITEM], Judge.SEMANTIC),
        lambda lg: lg.decide(Question.LIKE, ["It is warm."]),
    ],
)
def test_without_a_reader_model_the_answer_says_what_to_install(call: Callable[[Language], object]) -> None:
    with pytest.raises(FailedPrecondition, match="pip install") as caught:
        call(Language(None))
    assert caught.value.reason == "READER_MISSING"


def test_words_alone_need_no_reader_model() -> None:
    language = Language(None)
    assert language.align([ITEM], Judge.LEXICAL)[0].aligned is True
    assert language.align([AlignmentItem("a", "b", (), "yes")], Judge.MODEL)[0].aligned is True
    assert language.summarize(["The dog", "a dog"], 0.5).grouped_by is GroupBy.LEXICAL


def test_every_entry_gets_a_result_in_order(language: Language) -> None:
    sentences = ["none", "", "The house is on fire.", "🔥", "none"]
    types = language.classify(sentences)
    assert [int(result.type) for result in types] == [3, 0, 2, 0, 3]
    assert [result.at_stake for result in language.attribute(sentences)] == [False, False, True, False, False]
    assert len(language.align([ITEM] * 3, Judge.SEMANTIC)) == 3


def test_equal_sentences_and_items_share_their_result(language: Language) -> None:
    sentences = ["The house is on fire.", "A dog sleeps.", "The house is on fire."]
    for results in (
        language.classify(sentences),
        language.attribute(sentences),
        *(
            language.align([AlignmentItem(sentence, "fire") for sentence in sentences], judge)
            for judge in list(Judge)[:2]
        ),
    ):
        assert results[0] is results[2]
        assert results[0] != results[1]


def test_grouping_by_words_can_be_asked_for(language: Language) -> None:
    pair = ["The child is near the stove.", "A toddler stands next to the stove."]
    assert len(language.summarize(pair, 0.5, GroupBy.LEXICAL).groups) == 2
    assert len(language.summarize(pair, 0.5).groups) == 1


def test_the_phrasings_of_one_element_are_checked_once_however_many_answers_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr("services.scoring.reading.language.is_readable", lambda text: not looked_at.append(text))
    items = [AlignmentItem(f"{number} cups", "cup", ("mug", "tea")) for number in range(100)]
    with pytest.raises(FailedPrecondition):  # without a reader model, which is looked for after the checks
        Language(None).align([*items, AlignmentItem("a cup", "tea")], Judge.SEMANTIC)
    assert looked_at == ["cup", "mug", "tea", "tea"]
