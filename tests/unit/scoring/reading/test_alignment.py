import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.scoring.reading.alignment import (
    COVERAGE_THRESHOLD,
    AlignmentItem,
    AlignmentVerdict,
    judge_by_model,
    judge_lexically,
    word_reader,
)
from services.scoring.reading.lexical import Said, contradicts, lemma, says_nothing, words
from services.scoring.reading.model import OnnxReader
from services.scoring.reading.response_types import ResponseTypeClassifier
from services.scoring.reading.semantic_judge import SemanticJudge
from services.scoring.statistics.agreement import cohen_kappa
from training.reading import corpus


@pytest.fixture(scope="module")
def semantic(reader: OnnxReader) -> SemanticJudge:
    return SemanticJudge(reader, ResponseTypeClassifier(reader))


def test_a_further_phrasing_takes_nothing_from_an_answer_that_names_the_element(semantic: SemanticJudge) -> None:
    answer = "The water has been spilled on the floor."
    alone, with_another = semantic.judge(
        [AlignmentItem(answer, "spilled water"), AlignmentItem(answer, "spilled water", ("a puddle",))]
    )
    assert alone.aligned
    assert with_another.aligned
    assert with_another.score >= alone.score


OLDER_PAIRS = Path(corpus.DATA) / "author_0_alignment.jsonl"
"""Pairs that the lexical judge was tuned on; they hold it to what it did."""


def labelled(split: str) -> tuple[list[AlignmentItem], list[bool]]:
    lines = OLDER_PAIRS.read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == split]
    items = [AlignmentItem(row["answer"], row["element"], tuple(row["accept"])) for row in rows]
    return items, [bool(row["label"]) for row in rows]


def test_lexical_agrees_with_the_labels_that_it_was_tuned_on() -> None:
    items, labels = labelled("held-out")
    kappa = cohen_kappa(labels, [bool(judge_lexically(item).aligned) for item in items])
    assert kappa is not None
    assert kappa >= 0.95


NEAR_MISSES = [
    ("The stove is off.", "the stove is on"),
    ("The stove is not on.", "the stove is on"),
    ("No child is in danger.", "child in danger"),
    ("Nobody is in danger.", "someone is in danger"),
    ("The window is closed.", "the window is open"),
    ("The knife is out of the baby's reach.", "knife within the baby's reach"),
    ("The worker wears a helmet.", "worker without a helmet"),
    ("The baby is not alone in the bathtub.", "baby alone in the bathtub"),
    ("The gate is locked.", "unlocked gate"),
    ("The toaster is unplugged.", "toaster is plugged in"),
    ("The child is awake.", "child asleep"),
]


@pytest.mark.parametrize(("answer", "element"), NEAR_MISSES)
def test_by_words_a_denial_or_the_opposite_is_not_aligned(answer: str, element: str) -> None:
    assert judge_lexically(AlignmentItem(answer, element)).aligned is False


def test_by_meaning_nearly_all_denials_and_opposites_are_not_aligned(semantic: SemanticJudge) -> None:
    verdicts = semantic.judge([AlignmentItem(answer, element) for answer, element in NEAR_MISSES])
    # "The knife is out of the baby's reach." is read as naming "knife within the baby's reach".
    assert sum(verdict.aligned is False for verdict in verdicts) >= len(NEAR_MISSES) - 1


@pytest.mark.parametrize(
    ("answer", "element", "accept"),
    [
        ("A toddler is scribbling on the wall.", "child writing on the wall", ()),
        ("The worker is not wearing a helmet.", "worker without a helmet", ()),
        ("The pills are untouched.", "medicine not taken", ("pills untouched",)),
        ("Nothing needs attention.", "none", ()),
    ],
)
def test_by_words_synonyms_negations_and_phrasings_are_aligned(
    answer: str, element: str, accept: tuple[str, ...]
) -> None:
    assert judge_lexically(AlignmentItem(answer, element, accept)).aligned is True


@pytest.mark.parametrize(
    ("answer", "element", "accept"),
    [
        ("A toddler is dangerously close to the burner.", "child near the hot stove", ()),
        ("The worker is not wearing a helmet.", "worker without a helmet", ()),
        ("The pills are untouched.", "medicine not taken", ("pills untouched",)),
        ("Nothing needs attention.", "none", ()),
    ],
)
def test_by_meaning_other_words_and_phrasings_are_aligned(
    semantic: SemanticJudge, answer: str, element: str, accept: tuple[str, ...]
) -> None:
    assert semantic.judge([AlignmentItem(answer, element, accept)])[0].aligned is True


def test_evidence_names_the_phrasing_that_fitted() -> None:
    verdict = judge_lexically(AlignmentItem("The pills are untouched.", "medicine not taken", ("pills untouched",)))
    assert verdict.matched == "pills untouched"
    assert verdict.score == 1
    assert "pills" in verdict.evidence


@pytest.mark.parametrize("answer", ["", "...", "🔥"])
def test_an_answer_without_words_is_not_aligned(semantic: SemanticJudge, answer: str) -> None:
    item = AlignmentItem(answer, "child near the stove")
    assert judge_lexically(item).aligned is False
    assert semantic.judge([item])[0].aligned is False


@pytest.mark.parametrize(("answer", "language"), [("孩子靠近炉子", "zh"), ("El niño está cerca de la estufa.", "es")])
def test_an_answer_in_another_language_is_left_open(semantic: SemanticJudge, answer: str, language: str) -> None:
    (verdict,) = semantic.judge([AlignmentItem(answer, "child near the stove")])
    assert (verdict.aligned, verdict.language) == (None, language)


def test_vowel_signs_are_parts_of_words_and_invisible_characters_are_none() -> None:
    assert [word.text for word in words("बच्चा चूल्हे")] == ["बच्चा", "चूल्हे"]
    assert judge_lexically(AlignmentItem("बच्ची", "बच्चा")).aligned is False  # girl, boy
    assert judge_lexically(AlignmentItem("The chi\u00adld\u200b", "child")).aligned is True


def test_other_alphabets_match_themselves_by_words() -> None:
    assert judge_lexically(AlignmentItem("الطفل قريب من الموقد", "الطفل الموقد")).aligned is True


@pytest.mark.parametrize(
    ("said", "aligned"),
    [
        ("Yes.", True),
        ("no", False),
        ("1", True),
        ("0", False),
        ('{"aligned": true}', True),
        ('```json\n{"answer": "no", "why": "off"}\n```', False),
        ("The answer names the dog, not the child.\nVerdict: no", False),
        ("**Yes**, because it names the child.", True),
        ("Not aligned", False),
        ("Perhaps.", None),
        ("", None),
        ("{broken", None),
        ("[" * 10_000, None),
        ('{"aligned":' * 10_000, None),
        ("10", None),
        ("0.5", None),
        ("1 out of 10", None),
        ("1.0", True),
        ("Not sure", None),
        ("N/A", None),
        ("Yes and no", None),
        ("yes/no", None),
        ('{"aligned": [1, 0]}', None),
        ('{"aligned": 0.5}', None),
        ('{"aligned": 0}', False),
        ("نعم", True),
    ],
)
def test_a_models_verdict_is_read_or_left_open(reader: OnnxReader, said: str, aligned: bool | None) -> None:
    (verdict,) = judge_by_model([AlignmentItem("", "", (), said)], reader)
    assert verdict.aligned is aligned


@pytest.mark.parametrize(
    ("one", "other"),
    [("reaching", "reaches"), ("stoves", "stove"), ("grabbed", "grab"), ("knives", "knife"), ("stories", "story")],
)
def test_inflections_share_a_lemma(one: str, other: str) -> None:
    assert lemma(one) == lemma(other)


@pytest.mark.parametrize(
    "text",
    [
        "None.",
        "no",
        "N/A",
        "Nothing here",
        "There is no problem.",
        "I don't see anything wrong.",
        "No immediate attention is needed.",
    ],
)
def test_ways_to_say_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No child is in danger of drowning",
        "The nun",
        "Nobody helps the old man.",
        "No one is holding the ladder.",
        "None of the workers wears a helmet.",
        "Nothing keeps the toddler from falling.",
        "The old man on the floor can't get up and needs attention.",
        "There isn't enough light, which is a concern.",
        "No one is watching the child near the pool.",
        "The woman can't reach the phone; she needs attention.",
    ],
)
def test_what_does_not_say_nothing(text: str) -> None:
    assert not says_nothing(text)


@given(st.text(max_size=200), st.text(max_size=80), st.lists(st.text(max_size=40), max_size=3))
def test_any_texts_get_a_lexical_verdict(answer: str, element: str, accept: list[str]) -> None:
    verdict = judge_lexically(AlignmentItem(answer, element, tuple(accept)))
    assert verdict.aligned in {True, False}
    assert 0 <= verdict.score <= 1


def plainly(item: AlignmentItem) -> AlignmentVerdict:
    """What `judge_lexically` says where the element is something, word by word for every phrasing."""
    answer = Said.of(item.answer)
    best = AlignmentVerdict(False, 0.0, "the answer has no word of the element", item.element)
    for phrasing in (item.element, *item.accept):
        wanted = Said.of(phrasing)
        named = [word for word in wanted.words if not word.keys.isdisjoint(answer.keys)]
        coverage = len(named) / len(wanted.words) if wanted.words else 0.0
        found = f"names {len(named)} of {len(wanted.words)} words ({', '.join(word.text for word in named)})"
        aligned = coverage >= COVERAGE_THRESHOLD
        if aligned and contradicts(answer, wanted):
            aligned, found = False, f"{found}, but denies it or states the opposite"
        if (aligned, coverage) > (best.aligned, best.score):
            best = AlignmentVerdict(aligned, coverage, found, phrasing)
    return best


# Synonyms of each other, opposites, negations, ends of their scope, inflections and words of no set.
VOCABULARY = [
    "child", "toddler", "kid", "stove", "cooker", "hot", "cold", "open", "closed", "door", "no", "not", "without",
    "nobody", "empty", ",", "but", "the", "lamp", "lamps",
]  # fmt: skip
SENTENCES = st.lists(st.sampled_from(VOCABULARY), max_size=9).map(" ".join)


@given(st.lists(SENTENCES, min_size=1, max_size=4), SENTENCES, st.lists(SENTENCES, max_size=6))
def test_phrasings_are_compared_as_if_word_by_word(answers: list[str], element: str, accept: list[str]) -> None:
    assume(not says_nothing(element))
    items = [AlignmentItem(answer, element, tuple(accept)) for answer in answers]
    read = word_reader()
    assert [judge_lexically(item, read) for item in items] == list(map(plainly, items))


def test_labelled_answers_are_judged_as_if_word_by_word() -> None:
    items = [item for split in ("train", "held-out") for item in labelled(split)[0] if not says_nothing(item.element)]
    assert len(items) > 200
    assert [judge_lexically(item) for item in items] == list(map(plainly, items))


@given(st.text(max_size=200))
def test_words_never_fail(text: str) -> None:
    assert all(word.text and word.keys for word in words(text))
