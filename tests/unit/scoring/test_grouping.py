import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.detection import Completion
from gateway.detection import summarise as summarise_at_the_gateway
from services.scoring.embedder import Embedder
from services.scoring.evaluate_grouping import best_threshold, measure, read_pairs
from services.scoring.grouping import SAME_MEANING, GroupBy, normalise, summarise


def test_the_same_meaning_is_one_group(embedder: Embedder) -> None:
    result = summarise(
        ["The child is near the stove.", "The dog sleeps.", "A toddler stands next to the stove."], 0.5, embedder
    )
    assert [group.members for group in result.groups] == [(0, 2), (1,)]
    assert result.element == "The child is near the stove."
    assert result.agreement == pytest.approx(2 / 3)
    assert result.entropy_bits == pytest.approx(-(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3))
    assert not result.abstain
    assert result.grouped_by is GroupBy.SEMANTIC


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The stove is on.", "The stove is off."),
        ("The child is in danger.", "No child is in danger."),
        ("The worker wears a helmet.", "The worker isn't wearing a helmet."),
        ("The child is near the stove.", "None."),
        ("The child", "The child is writing on the wall."),
        ("孩子靠近炉子", "狗在睡觉"),
        ("The safe is locked.", "The safe is unlocked."),
        ("The boy is riding a bicycle.", "The boy has fallen off his bicycle."),
        ("No one is holding the ladder.", "None."),
    ],
)
def test_contradictions_and_what_cannot_be_read_stay_apart(embedder: Embedder, first: str, second: str) -> None:
    result = summarise([first, second], 0.5, embedder)
    assert len(result.groups) == 2
    assert result.abstain
    assert result.element == ""
    assert result.entropy_bits == 1


def test_ways_to_say_none_are_one_group(embedder: Embedder) -> None:
    result = summarise(
        ["None.", "Nothing needs attention.", "There is no element that needs attention."], 0.5, embedder
    )
    assert result.agreement == 1
    assert result.entropy_bits == 0


def test_answers_that_say_nothing_at_all_are_an_abstention(embedder: Embedder) -> None:
    assert summarise(["", "...", "🔥"], 0.0, embedder).abstain


def test_agreement_below_the_threshold_is_an_abstention() -> None:
    sentences = ["the dog", "The dog.", "the cat"]
    assert summarise(sentences, 0.7).abstain
    assert not summarise(sentences, 0.6).abstain


@given(
    st.lists(st.sampled_from(["The dog.", "a dog", "the cat", "", "None", "🔥", "DOG!"]), min_size=1), st.floats(0, 1)
)
def test_without_a_model_it_is_the_consensus_of_the_gateway(sentences: list[str], threshold: float) -> None:
    completions = [Completion(i, s, s, "stop", 1, 0, 1.0) for i, s in enumerate(sentences)]
    theirs, ours = summarise_at_the_gateway(completions, threshold), summarise(sentences, threshold)
    assert ours.grouped_by is GroupBy.LEXICAL
    assert [vars(group) for group in ours.groups] == [vars(group) for group in theirs.groups]
    assert (ours.element, ours.agreement, ours.entropy_bits, ours.abstain) == (
        theirs.element,
        theirs.agreement,
        theirs.entropy_bits,
        theirs.abstain,
    )


POOL = [
    "The child is near the stove.",
    "A toddler stands by the stove.",
    "The stove is off.",
    "none",
    "",
    "The dog",
    "狗",
]


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_groups_partition_the_sentences_in_whatever_order(embedder: Embedder, data: st.DataObject) -> None:
    sentences = data.draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=8))
    order = data.draw(st.permutations(range(len(sentences))))
    result = summarise(sentences, 0.5, embedder)
    assert sorted(index for group in result.groups for index in group.members) == list(range(len(sentences)))
    assert sum(group.share for group in result.groups) == pytest.approx(1)
    assert 0 <= result.entropy_bits <= math.log2(len(sentences)) + 1e-9
    shuffled = summarise([sentences[index] for index in order], 0.5, embedder)
    assert {frozenset(g.members) for g in result.groups} == {
        frozenset(order[index] for index in g.members) for g in shuffled.groups
    }
    assert shuffled.agreement == result.agreement


def test_held_out_pairs_are_told_apart(embedder: Embedder) -> None:
    _, near, labels = read_pairs(embedder, "held-out")
    assert len(labels) >= 120
    figures = measure(near, labels, SAME_MEANING)
    assert figures["accuracy"] >= 0.78
    assert figures["F1"] >= 0.78


def test_the_threshold_is_the_best_on_the_training_pairs(embedder: Embedder) -> None:
    _, near, labels = read_pairs(embedder, "train")
    best = measure(near, labels, best_threshold(near, labels))["accuracy"]
    assert measure(near, labels, SAME_MEANING)["accuracy"] >= best - 0.02  # a pair may fall on either side by rounding


def test_long_completions_are_grouped_in_bounded_time(embedder: Embedder) -> None:
    # Each of thousands of words, and all of them different: comparing word by word would take hours.
    sentences = [" ".join(f"word{number}x{place}" for place in range(1500)) for number in range(24)]
    assert len(summarise(sentences, 0.5, embedder).groups) >= 1


def test_normalise_is_idempotent_up_to_articles() -> None:
    assert normalise(normalise('  "The  Child!" ')) == "child"
