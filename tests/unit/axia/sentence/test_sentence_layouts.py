"""Texts around and within a first sentence as other models write them: prompts, tags, wrapped lines, streets."""

import pytest

from axia.sentence.first_sentence import FirstSentence, find_first_sentence

ANSWER = "The child near the stove."
QUESTION = 'Identify what is the element that needs attention in this image. If nothing is relevant, answer "none".'
THOUGHT = "A pan is on the stove."


@pytest.mark.parametrize(
    "text",
    [
        "In this image, there is a bear. It is close to the child.",
        "In the image, there is a screen. It is broken.",
        "There are several steps. They are wet.",
        "Let me help him. He has fallen.",
        "The man has fallen off the ladder and is injured:\n- He is bleeding.",
        "The stove poses several risks:\n- fire",
        "The pot boiling over needs immediate attention:\n- Steam is rising.",
        "Two children are playing on the railway tracks:\nNobody is watching.",
        "It is 7:45. The child is late.",
        "He fell on Baker St. The ambulance is coming.",
        "A car blocks 5th Ave. The police are there.",
        "She lacks vitamin D. The pills are there.",
        "The thermometer reads 104 F. The child is feverish.",
        "The man at door B. He is armed.",
    ],
)
def test_the_first_sentence_is_kept_and_ends(text: str) -> None:
    ends = [text.index(mark) + 1 for mark in (". ", ":\n") if mark in text]
    assert find_first_sentence(text).sentence == text[: min(ends)]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. A. Smith fell. He is hurt.",
        "We are at St. Mary's Hospital. He is hurt.",
        "A St. Bernard dog is left in a hot car. He is hurt.",
        "The fire in Apt. 5 needs attention. He is hurt.",
        "The accident on Av. Paulista needs attention. He is hurt.",
    ],
)
def test_initials_and_saints_end_no_sentence(text: str) -> None:
    assert find_first_sentence(text).sentence == text.removesuffix(" He is hurt.")


def test_a_line_that_is_wrapped_goes_on() -> None:
    wrapped = "The old man who is lying on the cold kitchen floor\nneeds help right away."
    assert find_first_sentence(wrapped + " The phone is near.").sentence == wrapped
    assert find_first_sentence("a dog on the floor\na child crying").sentence == "a dog on the floor"


@pytest.mark.parametrize(
    "before",
    [
        f"USER: {QUESTION} ASSISTANT: ",
        "User: What needs attention? Be brief.\nAssistant: ",
        "Q: What needs attention?\nA: ",
        "[INST] What needs attention? [/INST] ",
        "<|im_start|>user\nWhat needs attention?<|im_end|>\n<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<start_of_turn>model\n",
        "[Answer]: ",
        "Qwen: ",
        "GPT-4: ",
        "TL;DR: ",
        "In one sentence: ",
        f"Q: {QUESTION}\n",
        f"Question: {QUESTION}\nShort answer: ",
        f"### Instruction:\n{QUESTION}\n\n### Output:\n",
        f"system\nYou are a helpful assistant.\nuser\n{QUESTION}\nassistant\n",
        f"{QUESTION} ",
        "Identify what is the element that needs attention in this image\n",
        "<image>\n",
        "I'd be happy to help! ",
        "I can help with that! ",
        "There are several reasons for concern:\n- ",
        "In this cosy kitchen scene, the following needs attention:\n1. ",
    ],
)
def test_a_repeated_question_and_names_are_left_out(before: str) -> None:
    found = find_first_sentence(f"{before}{ANSWER} Yes.")
    assert (found.sentence, found.omitted) == (ANSWER, before.strip())


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (f"<scratchpad>{THOUGHT}</scratchpad>\n", ""),
        (f"<SUMMARY>I look. </SUMMARY><CAPTION>A kitchen. </CAPTION><REASONING>{THOUGHT}</REASONING><CONCLUSION>", ""),
        (f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|><|begin_of_solution|>", "<|end_of_solution|>"),
        (f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_reasoning_of_other_models_is_kept_apart(before: str, behind: str, size: int) -> None:
    text = before + ANSWER + behind
    reader = FirstSentence()
    for start in range(0, len(text), size):
        reader.add(text[start : start + size])
    found = reader.finish()
    assert found.sentence == ANSWER
    assert THOUGHT in found.reasoning
