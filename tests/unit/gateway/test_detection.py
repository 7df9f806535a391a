import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axia.grouping import normalise
from gateway.protocols.consensus import summarise
from gateway.protocols.ports.model import Completion


def completions(*sentences: str) -> list[Completion]:
    return [Completion(index, text, text, "stop", 1, index, 1.0) for index, text in enumerate(sentences)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The child.", "a child"),
        ("None.", "none"),
        ('"The  Knife!"', "knife"),
        ("ＳＭＯＫＥ", "smoke"),
        ("An apple…", "the apple"),
    ],
)
def test_sentences_that_differ_in_form_alone_are_one(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"), [("The child", "The children"), ("The stove is on", "The stove is off"), ("3.5", "35")]
)
def test_sentences_that_differ_in_words_are_two(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_the_largest_group_is_the_consensus() -> None:
    result = summarise(completions("The knife.", "A child.", "the child"), 0.5)
    assert result.element == "A child."
    assert [group.members for group in result.groups] == [(1, 2), (0,)]
    assert result.agreement == pytest.approx(2 / 3)
    assert result.entropy_bits == pytest.approx(-(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3))
    assert not result.abstain


def test_the_consensus_is_the_most_frequent_spelling_and_of_several_the_first() -> None:
    assert summarise(completions("the child", "A child.", "A child.", "smoke"), 0.5).element == "A child."
    assert summarise(completions("the child", "A child.", "smoke"), 0.5).element == "the child"


@pytest.mark.parametrize(
    ("sentences", "threshold"),
    [
        (("a knife", "a child", "smoke"), 0.5),  # a third is below one half
        (("knife", "knife", "child", "child"), 0.5),  # two largest groups
        (("", "", "child"), 0.5),  # most said nothing
        (("child", "child", "knife"), 0.7),  # below a stricter threshold
    ],
)
def test_it_abstains_and_names_no_element(sentences: tuple[str, ...], threshold: float) -> None:
    result = summarise(completions(*sentences), threshold)
    assert result.abstain
    assert not result.element
    assert result.groups


def test_one_completion_agrees_with_itself() -> None:
    result = summarise(completions("The child."), 1.0)
    assert (result.element, result.agreement, result.entropy_bits, result.abstain) == ("The child.", 1.0, 0.0, False)


@given(st.lists(st.sampled_from(["the child", "a knife", "Smoke.", "", "none"]), min_size=1, max_size=12), st.randoms())
def test_shares_are_a_partition_and_order_changes_no_figure(sentences: list[str], random: "object") -> None:
    result = summarise(completions(*sentences), 0.5)
    assert sum(group.share for group in result.groups) == pytest.approx(1)
    assert sorted(i for group in result.groups for i in group.members) == list(range(len(sentences)))
    assert 0 < result.agreement <= 1
    assert -1e-9 <= result.entropy_bits <= math.log2(len(sentences)) + 1e-9
    shuffled = list(sentences)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = summarise(completions(*shuffled), 0.5)
    assert again.agreement == pytest.approx(result.agreement)
    assert again.entropy_bits == pytest.approx(result.entropy_bits)
    assert again.abstain == result.abstain
