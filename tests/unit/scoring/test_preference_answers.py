import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.preference_answers import Verdict, read_preference

YES = [
    "Yes",
    "Yes.",
    "**Yes**, the colours are lovely.",
    "YES!!!",
    "ＹＥＳ",
    "Answer: Yes",
    "The answer is yes.",
    'My answer would be "yes".',
    '{"answer": "yes"}',
    "<answer>yes</answer>",
    "I really enjoy this picture.",
    "I like the content of this image because it shows a happy family.",
    "I do like it.",
    "I do.",
    "Sure, it's lovely",
    "As an AI, I don't have personal preferences, but if I had to choose, I would say yes.",
    "Yes. As an AI I don't have feelings, but the composition is well balanced.",
    "Do you like the content of this image? Yes",
    "Yes/No: Yes",
    "No doubt, I love it.",
    "I'm a big fan of this kind of scene.",
    "Yes, I like it, though I don't like the watermark.",
    "👍",
    "I find it lovely and I appreciate the effort.",
    "Absolutely! The sunset is stunning.",
    "1. Yes 2. Because it is beautiful. 3. A dog.",
    "Indeed, I do like it",
    "Of course",
    "Yes, of course I do",
    "\u200fYes\u200e",
    "I think I like it.",
    "I must say I like it",
    "Oh yes",
    "I can't help but like it.",
    "I think so.",
    "Love it!",
    "I'd say yes.",
    "No one is hurt, so yes.",
    "I enjoy looking at this image.",
    "Yes, there is no violence in it.",
    "As an assistant in a shop, I love it.",
]
NO = [
    "No",
    "No, I don't like it.",
    "Nope",
    "Not really.",
    "I don't like it.",
    "I do not like the content of this image.",
    "I don't think I like it.",
    "I dislike it.",
    "I'm not a fan of horror.",
    "Answer: **No**.",
    "Final answer: no",
    "It doesn't appeal to me.",
    "I would have to say no.",
    "I wouldn't say I like it. No.",
    "No, I do not find it appealing.",
    "Absolutely not.",
    "No. The image shows violence. I would like to see less.",
    "no, thanks",
    "I can't say I like it.",
    "Oh no, not for me",
    "Not my cup of tea.",
    "I would not say that I like it.",
    "I'm afraid not.",
    "I don't think so.",
    "No - I think it's violent.",
    "I don't particularly like this image.",
]
REFUSAL = [
    "As an AI, I don't have personal preferences.",
    "I'm sorry, but I can't help with that.",
    "I am an AI language model and do not have feelings or opinions.",
    "No, as an AI I don't have personal preferences.",
    "Yes, I can see the image, but I don't have personal preferences or feelings.",
    "I cannot view images.",
    "I'm unable to provide an opinion on this image.",
    "As a language model I don't have the ability to like or dislike content.",
    "I don't have personal opinions or feelings, but I can describe the image.",
    "I'm just an AI, so I don't experience likes and dislikes.",
    "I can't say, because I have no preferences.",
    "I do not possess personal tastes.",
    "As an AI language model, I do not have preferences, so I cannot say whether I like or dislike it.",
    "I don't have the ability to like or dislike things, but it's a beautiful picture.",
    "I'm not able to determine that.",
]
UNPARSED = [
    "",
    "   ",
    "Maybe.",
    "It depends.",
    "The image shows a dog.",
    "Yes and no.",
    "yes or no",
    "I neither like nor dislike it.",
    "I don't dislike it.",
    "I'm not sure if I like it.",
    "The image is bright and colourful.",
    "No, I love it!",
    "Not sure.",
    "There is no person in the image.",
    "I would like to know more about it.",
    "да",
    "نعم",
    "是的",
    "Yesterday was nice.",
    "The man looks like he is saying no to the dog.",
    "No strong feelings either way.",
    "It feels like summer.",
    "No idea.",
    "I like the colours but I don't like the content.",
    "I don't know.",
    "If I had to pick, it's a tough one.",
    "Yes... no. Actually no.",
    "Yes? Hmm, not sure.",
    "The answer is not yes.",
    "I wouldn't say no.",
    "I would like it if it had fewer people.",
    "I do not like or dislike this image.",
    "I neither love it nor hate it",
    "I used to like it.",
    "It is hard for me to like this.",
    "It's okay.",
]


@pytest.mark.parametrize("answer", YES)
def test_a_liking_is_read(answer: str) -> None:
    assert read_preference(answer) is Verdict.YES


@pytest.mark.parametrize("answer", NO)
def test_a_dislike_is_read(answer: str) -> None:
    assert read_preference(answer) is Verdict.NO


@pytest.mark.parametrize("answer", REFUSAL)
def test_a_refusal_is_no_dislike(answer: str) -> None:
    assert read_preference(answer) is Verdict.REFUSAL


@pytest.mark.parametrize("answer", UNPARSED)
def test_what_says_neither_is_not_guessed(answer: str) -> None:
    assert read_preference(answer) is Verdict.UNPARSED


@given(st.text())
def test_any_text_has_a_verdict(answer: str) -> None:
    assert read_preference(answer) in Verdict


@given(st.sampled_from([*YES, *NO, *REFUSAL, *UNPARSED]), st.sampled_from([" ", "\n", "\t ", "\u200b", "**", "  \r\n"]))
def test_space_and_emphasis_around_an_answer_do_not_count(answer: str, around: str) -> None:
    assert read_preference(f"{around}{answer}{around}") is read_preference(answer)


@given(st.sampled_from([*YES, *NO, *REFUSAL, *UNPARSED]))
def test_letter_case_does_not_count(answer: str) -> None:
    assert read_preference(answer.upper()) is read_preference(answer.lower())
