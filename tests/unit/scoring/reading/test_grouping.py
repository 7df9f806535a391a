import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from axia.grouping import normalise
from gateway.protocols.consensus import summarise as summarise_at_the_gateway
from gateway.protocols.ports.model import Completion
from services.scoring.reading.grouping import (
    MAX_PAIRED,
    MAX_PAIRED_BYTES,
    AbstainReason,
    GroupBy,
    same_meaning,
    summarise,
)
from services.scoring.reading.model import OnnxReader, Pair
from services.scoring.reading.response_types import ResponseType


def test_the_same_meaning_is_one_group(reader: OnnxReader) -> None:
    result = summarise(
        ["The child is near the stove.", "The dog sleeps.", "A toddler stands next to the stove."], 0.5, reader
    )
    assert [group.members for group in result.groups] == [(0, 2), (1,)]
    assert result.element == "The child is near the stove."
    assert result.agreement == pytest.approx(2 / 3)
    assert result.entropy_bits == pytest.approx(-(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3))
    assert not result.abstain
    assert result.grouped_by is GroupBy.SEMANTIC


def test_the_consensus_is_the_wording_that_is_said_most_not_the_first(reader: OnnxReader) -> None:
    said = ["A toddler stands next to the stove.", "The child is near the stove.", "the child is near the stove"]
    result = summarise([*said, "The child is near the stove.", "The dog sleeps."], 0.5, reader)
    assert result.groups[0].members == (0, 1, 2, 3)
    assert result.element == result.groups[0].representative == "The child is near the stove."


def test_of_different_wordings_the_consensus_is_the_one_that_is_nearest_to_the_others(reader: OnnxReader) -> None:
    said = ["The floor is wet.", "There is a puddle of water on the floor.", "Water is spilled on the floor."]
    near = same_meaning(said, reader)
    np.fill_diagonal(near, 0.0)
    nearest = said[int(near.sum(axis=0).argmax())]
    for turned in range(len(said)):
        result = summarise([*said[turned:], *said[:turned]], 0.5, reader)
        assert len(result.groups) == 1
        assert result.element == nearest  # whichever comes first


def test_of_wordings_that_are_equally_near_the_first_is_the_consensus(reader: OnnxReader) -> None:
    said = ["A toddler stands next to the stove.", "The child is near the stove."]
    assert summarise(said, 0.5, reader).element == said[0]
    assert summarise(said[::-1], 0.5, reader).element == said[1]


def test_of_spellings_the_most_frequent_is_the_consensus_and_of_several_the_first() -> None:
    assert summarise(["the child", "A child!", "A child!"], 0.5).element == "A child!"
    assert summarise(["the child", "A child!"], 0.5).element == "the child"


def test_the_type_of_a_group_is_that_of_its_representative(reader: OnnxReader) -> None:
    result = summarise(["None.", "Nothing needs attention.", "Nothing needs attention."], 0.5, reader)
    assert result.element == "Nothing needs attention."
    assert result.groups[0].type is ResponseType.NONE


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
def test_contradictions_and_what_cannot_be_read_stay_apart(reader: OnnxReader, first: str, second: str) -> None:
    result = summarise([first, second], 0.5, reader)
    assert len(result.groups) == 2
    assert result.abstain
    assert result.element == ""
    assert result.entropy_bits == 1


def test_descriptions_of_different_things_stay_apart(reader: OnnxReader) -> None:
    things = ["The knife.", "A sleeping cat.", "a pot", "a bench", "A woman is sitting at a table."]
    assert len(summarise(things, 0.5, reader).groups) == len(things)


def test_ways_to_say_none_are_one_group(reader: OnnxReader) -> None:
    result = summarise(["None.", "Nothing needs attention.", "There is no element that needs attention."], 0.5, reader)
    assert result.agreement == 1
    assert result.entropy_bits == 0


def test_answers_that_say_nothing_at_all_are_an_abstention(reader: OnnxReader) -> None:
    assert summarise(["", "...", "🔥"], 0.0, reader).abstain_reason is AbstainReason.NO_ANSWER
    assert summarise(["Sure!", "Sure!", "A cat."], 0.0, reader).abstain_reason is AbstainReason.NO_ANSWER


REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "I cannot help with identifying people in images.",
    "I'm unable to comment on this picture.",
]


def test_refusals_are_one_group_and_never_the_consensus(reader: OnnxReader) -> None:
    result = summarise(REFUSALS, 0.5, reader)
    assert [group.members for group in result.groups] == [(0, 1, 2)]
    assert result.groups[0].type is ResponseType.REFUSAL
    assert (result.element, result.abstain_reason) == ("", AbstainReason.REFUSED)
    mostly = summarise([*REFUSALS[:2], "The pan is on fire.", "A pan is burning."], 0.5, reader)
    assert mostly.abstain_reason is AbstainReason.REFUSED


def test_one_refusal_beside_answers_that_agree_leaves_their_consensus(reader: OnnxReader) -> None:
    result = summarise(["The pan is on fire.", REFUSALS[0], "A pan is burning."], 0.5, reader)
    assert result.element == "The pan is on fire."


def test_nothing_needs_attention_only_if_more_than_half_say_so(reader: OnnxReader) -> None:
    hazards = ["The pan is on fire.", "An old man has fallen on the floor.", "A child is playing with a knife."]
    few = summarise(["None.", "Nothing needs attention.", *hazards], 0.0, reader)
    assert (few.element, few.abstain_reason) == ("", AbstainReason.NONE_IN_MINORITY)
    most = summarise(["None.", "Nothing needs attention.", hazards[0]], 0.0, reader)
    assert most.element == "None."


def test_a_negation_that_denies_something_else_is_not_nothing(reader: OnnxReader) -> None:
    result = summarise(
        [
            "None.",
            "The old man on the floor can't get up and needs attention.",
            "An elderly man has fallen and isn't able to stand up.",
        ],
        0.5,
        reader,
    )
    assert result.element != "None."


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
    assert (ours.abstain_reason.value if ours.abstain_reason else None) == theirs.abstain_reason
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
def test_groups_partition_the_sentences_in_whatever_order(reader: OnnxReader, data: st.DataObject) -> None:
    sentences = data.draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=8))
    order = data.draw(st.permutations(range(len(sentences))))
    result = summarise(sentences, 0.5, reader)
    assert sorted(index for group in result.groups for index in group.members) == list(range(len(sentences)))
    assert sum(group.share for group in result.groups) == pytest.approx(1)
    assert 0 <= result.entropy_bits <= math.log2(len(sentences)) + 1e-9
    shuffled = summarise([sentences[index] for index in order], 0.5, reader)
    assert {frozenset(g.members) for g in result.groups} == {
        frozenset(order[index] for index in g.members) for g in shuffled.groups
    }
    assert shuffled.agreement == result.agreement


@pytest.mark.parametrize(("count", "repeats"), [(70, 1), (256, 4), (100, 1300)])
def test_what_is_compared_is_bounded(
    reader: OnnxReader, monkeypatch: pytest.MonkeyPatch, count: int, repeats: int
) -> None:
    asked: list[Pair] = []

    def relate(_: OnnxReader, pairs: list[Pair]) -> NDArray[np.float64]:
        asked.extend(pairs)
        return np.tile([0.0, 0.0, 1.0], (len(pairs), 1))

    monkeypatch.setattr(OnnxReader, "relate", relate)
    result = summarise([f"The stove {number} " + "is very hot " * repeats for number in range(count)], 0.5, reader)
    # Each pair in both orders at most.
    assert 0 < len(asked) <= MAX_PAIRED * (MAX_PAIRED - 1)
    assert sum(min(len(text), 256) for pair in asked for text in pair) <= 2 * MAX_PAIRED_BYTES
    # What isn't compared is a group of its own.
    assert len(result.groups) > count - MAX_PAIRED


def test_forms_whose_vectors_are_far_apart_are_not_read_in_pairs(
    reader: OnnxReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Pair] = []
    relate = OnnxReader.relate
    monkeypatch.setattr(OnnxReader, "relate", lambda model, pairs: asked.extend(pairs) or relate(model, pairs))
    near = ["The child is reaching for the hot stove.", "A toddler is dangerously close to the burner."]
    result = summarise([*near, "The roof tiles are loose.", "A wallet was left on the bench."], 0.5, reader)
    assert [len(group.members) for group in result.groups] == [2, 1, 1]
    assert asked == [Pair(*sorted(near))]


def test_normalise_is_idempotent_up_to_articles() -> None:
    assert normalise(normalise('  "The  Child!" ')) == "child"
