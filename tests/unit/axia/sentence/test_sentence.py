from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axia.sentence.first_sentence import FirstSentence, FoundSentence, SentenceRule, find_first_sentence
from axia.sentence.scan import Scanner

RULES = pytest.mark.parametrize("rule", list(SentenceRule))


def first_sentence(text: str) -> str:
    return find_first_sentence(text, SentenceRule.LITERAL).sentence


def answer(text: str) -> str:
    return find_first_sentence(text, SentenceRule.ANSWER).sentence


def end_of(text: str, rule: SentenceRule = SentenceRule.LITERAL) -> int | None:
    reader = FirstSentence(rule)
    reader.add(text)
    return reader.end


def in_deltas(text: str, cuts: list[int], rule: SentenceRule) -> FoundSentence:
    reader = FirstSentence(rule)
    for begin, end in pairwise([0, *sorted(cuts), len(text)]):
        reader.add(text[begin:end])
    return reader.finish()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("The child is near the stove. It is hot.", "The child is near the stove."),
        ("  The dog.  It eats.", "The dog."),
        ("None.", "None."),
        ("None. Everything is fine.", "None."),
        ("none", "none"),
        ("", ""),
        ("   \n ", ""),
        ("...", "..."),
        ("Dr. Smith lies on the floor. Help him.", "Dr. Smith lies on the floor."),
        ("Objects, e.g. a knife, are near the baby. Move them.", "Objects, e.g. a knife, are near the baby."),
        ("The pan is at 3.5 degrees. Fine.", "The pan is at 3.5 degrees."),
        ("It cost $4.99. The rest is here.", "It cost $4.99."),
        (
            "The clock shows 5 p.m. and the pills are untouched. Ask.",
            "The clock shows 5 p.m. and the pills are untouched.",
        ),
        ("He left at 5 p.m. The stove is on.", "He left at 5 p.m."),
        ("There is fruit, bread, etc. The milk is spilled.", "There is fruit, bread, etc."),
        ("Wait... there is smoke. Run.", "Wait... there is smoke."),
        ("There is smoke... The window is shut.", "There is smoke..."),
        ("A woman… she is crying. Sad.", "A woman… she is crying."),
        ('"Stop!" she said. He did.', '"Stop!" she said.'),
        ('She says "I am hurt." Then she cries.', 'She says "I am hurt."'),
        ("Is the stove on? Yes.", "Is the stove on?"),
        ("What?! The stove is on.", "What?!"),
        ("1. The child is near the stove. 2. The knife.", "1. The child is near the stove."),
        ("1) The child is near the stove. 2) The knife.", "1) The child is near the stove."),
        ("- The child. - The knife.", "- The child."),
        ("a. The child is near the stove. b. The knife.", "a. The child is near the stove."),
        ("Two things: 1. the child, 2. the knife. Both matter.", "Two things: 1. the child, 2. the knife."),
        ("The child is near the stove\n\nIt is hot.", "The child is near the stove"),
        ("1.\nThe child is near the stove. Hot.", "1.\nThe child is near the stove."),
        ("The child (aged 4.) plays. More.", "The child (aged 4.) plays."),
        ("J. Smith is asleep. Let him.", "J. Smith is asleep."),
        ("It is me and I. The dog waits.", "It is me and I."),
        ("The U.S. flag is on fire. Call.", "The U.S. flag is on fire."),
        ("孩子靠近炉子。小心。", "孩子靠近炉子。"),
        ("**The child.** It is near.", "**The child.**"),
        ("the child is near the stove. it is hot.", "the child is near the stove."),
        ("No end here at all", "No end here at all"),
        ("See example.org for it. Then go.", "See example.org for it."),
        ("العين مفتوحة. النار قريبة.", "العين مفتوحة."),
        ("هل الموقد مشتعل؟ نعم.", "هل الموقد مشتعل؟"),
        ("बच्चा पास है। खतरा है।", "बच्चा पास है।"),
        ("ልጁ ቅርብ ነው። አደጋ።", "ልጁ ቅርብ ነው።"),
        ("孩子很危险!请抱开他。", "孩子很危险!"),
        ("The bag is empty.The nurse should change it.", "The bag is empty."),
        ("Node.js runs on www.Example.Org and e.g.This. Fine.", "Node.js runs on www.Example.Org and e.g.This."),
        ("The pan is at 200°C. Fine.", "The pan is at 200°C."),
        ("The child sits in the sun. He has no hat.", "The child sits in the sun."),
        ("The boy looks lonely 😢 The others play.", "The boy looks lonely 😢"),
        ("A 🐶 Labrador is alone. Sad.", "A 🐶 Labrador is alone."),
        (
            'The sign says "Danger! Keep out." but boys climbed in. Bad.',
            'The sign says "Danger! Keep out." but boys climbed in.',
        ),
        (
            "The sign says 'Keep out. Now.' but boys climbed in. Bad.",
            "The sign says 'Keep out. Now.' but boys climbed in.",
        ),
        ("看板に「危険！入るな。」と書いてある。危ない。", "看板に「危険！入るな。」と書いてある。"),
        ('"It is hot. It burns."', '"It is hot.'),
        ('The pan is "hot. It burns. ' + "so " * 200, 'The pan is "hot.'),
        ("Sure! The stove is on.", "Sure!"),
    ],
)
def test_first_sentence_of_a_whole_text(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence", "omitted"),
    [
        ("The stove is on. It is hot.", "The stove is on.", ""),
        ("# Analysis\nThe stove is on. Hot.", "The stove is on.", "# Analysis"),
        ("## What needs attention?\n\nThe stove.", "The stove.", "## What needs attention?"),
        ("**Element to see:**\n\nThe stove is on.", "The stove is on.", "**Element to see:**"),
        ("Analysis\n========\nThe stove is on.", "The stove is on.", "Analysis\n========"),
        ("Sure! The stove is on.", "The stove is on.", "Sure!"),
        ("Certainly. Let me look at the image.\n\nThe stove.", "The stove.", "Certainly. Let me look at the image."),
        ("Sure, here's my answer: The stove is on.", "The stove is on.", "Sure, here's my answer:"),
        ("In this kitchen I see:\n- The stove is on.", "The stove is on.", "In this kitchen I see:\n-"),
        ("ASSISTANT: The stove is on.", "The stove is on.", "ASSISTANT:"),
        ("<|im_start|>assistant\nThe stove.<|im_end|>", "The stove.", "<|im_start|>assistant"),
        ("Answer: The stove is on.", "The stove is on.", "Answer:"),
        ("Answer:\nThe stove is on.", "The stove is on.", "Answer:"),
        ("**Answer:** The stove is on. Hot.", "The stove is on.", "**Answer:**"),
        ("**Answer: The stove is on.** Hot.", "The stove is on.", "**Answer:"),
        ("答案：锅里的水溢出来了。", "锅里的水溢出来了。", "答案："),
        ("```\nThe stove is on.\n```", "The stove is on.", "```"),
        ("```none```", "none", "```"),
        ("1. **Stove**: it is on. Hot.\n2. Knife", "**Stove**: it is on.", "1."),
        ("- [ ] The stove is on", "The stove is on", "- [ ]"),
        ("> The stove is on.", "The stove is on.", ">"),
        ("<answer>none</answer>", "none", "<answer>"),
        ("***\n\nThe stove is on.", "The stove is on.", "***"),
        ('```json\n{"element": "The stove. It is on."}\n```', '{"element": "The stove. It is on."}', "```json"),
        ('{\n  "a": ["x", "}"],\n  "b": "\\"}"\n} Done. Yes.', '{\n  "a": ["x", "}"],\n  "b": "\\"}"\n}', ""),
        ("**Stove is on.** Hot.", "**Stove is on.**", ""),
        ("⚠️ The stove is on! Hot.", "⚠️ The stove is on!", ""),
        ("I'm sorry, but I can't assist with that. Ask again.", "I'm sorry, but I can't assist with that.", ""),
        ("J. Smith is asleep. Let him.", "J. Smith is asleep.", ""),
        ("The safety hazard: the stove. Hot.", "The safety hazard: the stove.", ""),
    ],
)  # fmt: skip
def test_what_comes_before_the_answer_is_left_out(text: str, sentence: str, omitted: str) -> None:
    found = find_first_sentence(text)
    assert (found.sentence, found.omitted, found.text) == (sentence, omitted, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Sure!", "Sure!"),
        ("Sure! Here is the answer:\n\n", "Here is the answer:"),
        ("Answer:", "Answer:"),
        ("# Knife near the baby", "Knife near the baby"),
        ("```json\n", "```json"),
        ("1. ", "1."),
        ("...", "..."),
    ],
)
def test_a_text_of_openings_alone_is_not_left_without_a_sentence(text: str, sentence: str) -> None:
    assert answer(text) == sentence


@pytest.mark.parametrize(
    "opening", ["Sure!", "Sure! Here is", "# Analysis\n", "Answer: ", "1. ", "```json\n", "**Answer:**"]
)
def test_an_opening_ends_nothing(opening: str) -> None:
    assert end_of(opening, SentenceRule.ANSWER) is None


@RULES
def test_reasoning_is_kept_apart(rule: SentenceRule) -> None:
    found = find_first_sentence("<think>A dog. Hungry?</think>\n\nThe bowl is empty. Fill it.", rule)
    assert found == FoundSentence(
        "The bowl is empty.", "", "The bowl is empty. Fill it.", "A dog. Hungry?", thinking=False
    )


@RULES
def test_reasoning_that_does_not_end_leaves_no_answer(rule: SentenceRule) -> None:
    assert find_first_sentence("<think>A dog. It is", rule) == FoundSentence("", "", "", "A dog. It is", thinking=True)


@RULES
def test_all_before_a_lone_closing_tag_is_reasoning(rule: SentenceRule) -> None:
    reader = FirstSentence(rule)
    reader.add("I see a dog. It is hun")
    assert reader.over
    reader.add("gry.</thi")
    reader.add("nk>\nThe bowl is empty. ")
    assert not reader.over
    found = reader.finish()
    assert (found.sentence, found.reasoning) == ("The bowl is empty.", "I see a dog. It is hungry.")


def test_reasoning_that_an_engine_gives_apart_is_no_answer() -> None:
    reader = FirstSentence()
    reader.add_reasoning("A dog. ")
    reader.add("The bowl. ")
    assert reader.finish()[:4] == ("The bowl.", "", "The bowl. ", "A dog.")


@pytest.mark.parametrize("text", ["The stove.", "Dr.", "None", "3.", "The dog. ", 'She said "No."', "Wait..", "1. "])
def test_an_end_that_more_text_could_move_is_not_reported(text: str) -> None:
    assert end_of(text) is None


def test_the_end_is_known_one_word_later() -> None:
    assert end_of("The dog. It") == len("The dog.")


def test_a_line_break_ends_the_sentence_at_once() -> None:
    assert end_of("The dog\n") == len("The dog")


FRAGMENTS = st.sampled_from(
    [
        *("The", "dog", " ", "  ", ".", "...", "…", "!", "?", '"', "'", ")", "(", "\n", "\n\n", "Dr", "e.g", "p.m"),
        *("3", "1", "5.5", "a", "I", "B", "-", "*", ":", ",", "None", "。", "etc", "U.S", "é", "\t", "”"),
        *("Sure!", "Answer", "Here is the answer", "**", "# ", "## Analysis", "```", "json\n", "- ", "1. ", "> ", "{"),
        *(
            '{"',
            "}",
            "[",
            "\\",
            "“",
            "「",
            "」",
            "！",
            "؟",
            "।",
            "😢",
            "<answer>",
            "</answer>",
            "<",
            "The.Dog",
            "：",
            "’",
            "s",
        ),
        *("<think>", "</think>", "<|im_end|>", "Let me look", "²", "\x00", "\ud800", "or", "is"),
    ]
)
TEXTS = st.one_of(st.lists(FRAGMENTS, max_size=25).map("".join), st.text(max_size=60))


PLACES = st.integers(0, 10_000)
"""A place in a text, counted again from its beginning where the text is shorter."""


# Making a text takes hypothesis longer than all that is asserted of it, so both rules read the same texts.
@given(text=TEXTS, place=PLACES)
@settings(max_examples=1000, deadline=None)
def test_an_end_that_is_reported_early_is_the_end_in_the_whole_text(text: str, place: int) -> None:
    cut = place % (len(text) + 1)
    for rule in SentenceRule:
        reader = FirstSentence(rule)
        reader.add(text[:cut])
        if reader.over:
            early = reader.finish()
            whole = find_first_sentence(text, rule)
            # A closing tag without an opening one shows that what came before it was reasoning.
            assert early[:2] == whole[:2] or "</think>" in text[max(0, cut - len("</think>")) :], rule


@given(text=TEXTS, places=st.lists(PLACES, max_size=8))
@settings(max_examples=1000, deadline=None)
def test_the_cut_into_deltas_makes_no_difference(text: str, places: list[int]) -> None:
    cuts = [place % (len(text) + 1) for place in places]
    for rule in SentenceRule:
        whole = find_first_sentence(text, rule)
        assert in_deltas(text, cuts, rule) == whole, rule
        assert in_deltas(text, list(range(len(text))), rule) == whole, rule


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_sentence_begins_what_is_not_omitted_and_is_empty_only_without_words(text: str) -> None:
    literal, answers = find_first_sentence(text, SentenceRule.LITERAL), find_first_sentence(text)
    assert literal.text.strip().startswith(literal.sentence)
    assert answers.text.strip().removeprefix(answers.omitted).strip().startswith(answers.sentence)
    for found in (literal, answers):
        assert bool(found.sentence) == bool(found.text.strip())
    sentence = first_sentence(text)
    assert first_sentence(sentence) == sentence  # a literal first sentence is its own


class _Counted(list[str]):
    """Counts the characters that are looked at."""

    looked = 0

    def __getitem__(self, index: Any) -> Any:
        char = super().__getitem__(index)
        self.looked += len(char)
        return char


_LOOPS = [
    *(
        ". ",
        ".",
        "... ",
        "…",
        "! ",
        "?!",
        "。",
        "। ",
        "؟ ",
        "e.g. this ",
        "Dr. ",
        "U.S. ",
        "1. ",
        "1.\n",
        "- ",
        "* ",
        "# ",
    ),
    *(
        "## x\n",
        "> ",
        "```\n",
        "```",
        "<answer>",
        "</answer>",
        "Sure! ",
        "Answer: ",
        "**Answer:** ",
        "**",
        '"',
        "' ",
        '"a. ',
    ),
    *(
        "“a. ",
        "\n",
        ":",
        "a:",
        "<",
        "[",
        '{"',
        "🔥 ",
        "a b c 🔥",
        "a.Bc",
        "( ",
        "3.5 ",
        "\x00",
        "\ud800",
        "\x1b",
        " ",
        "word ",
    ),
    *("Here is the answer:\n", "Let me look. ", "* a:\n", "x"),
]


@RULES
@pytest.mark.parametrize("before", ["", "The stove "])
@pytest.mark.parametrize("loop", _LOOPS)
def test_each_character_is_looked_at_a_bounded_number_of_times(rule: SentenceRule, before: str, loop: str) -> None:
    scanner = Scanner(answer_only=rule is SentenceRule.ANSWER)
    scanner._chars = chars = _Counted()
    text = before + loop * (1_000 // len(loop))
    for char in text:
        scanner.add(char)
    scanner.finish()
    assert chars.looked < 100 * len(text)
