import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.reading.answer_form import read_form, without_wrapping
from services.scoring.reading.labels import Question, Verdict
from services.scoring.reading.model import OnnxReader
from services.scoring.reading.verdicts import read_verdicts
from services.serving.errors import FailedPrecondition

YES, NO, REFUSAL, UNPARSED = Verdict
LIKE, INTEREST, JUDGE = Question


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        (LIKE, "Yes", YES),
        (LIKE, "**No.**", NO),
        (LIKE, '{"like": false}', NO),
        (LIKE, '```json\n{"answer": "Yes", "reason": "It is warm."}\n```', YES),
        (LIKE, "ASSISTANT: No.", NO),
        (LIKE, "<think>Hmm, no, I should not refuse.</think>\n\nYes.", YES),
        (LIKE, "<think>Yes, I like", UNPARSED),
        (LIKE, "yes / no", UNPARSED),
        (LIKE, "👍", YES),
        (LIKE, "", UNPARSED),
        (INTEREST, "Keep watching", YES),
        (INTEREST, "Swipe.", NO),
        (INTEREST, "Decision: swipe", NO),
        (JUDGE, "**Aligned**: No", NO),
        (JUDGE, "Match: no", NO),
        (JUDGE, "Correct: false", NO),
        (JUDGE, "1", YES),
        (JUDGE, "0", NO),
        (JUDGE, '{"aligned": 0}', NO),
        (JUDGE, "The answer names the dog.\nVerdict: no", NO),
        (LIKE, "是", YES),
        (LIKE, "❤️❤️", YES),
        (LIKE, "<thinking>\nAnswer: Yes\n</thinking>\nNo.", NO),
        (LIKE, '{"dislike": "no"}', UNPARSED),
        (LIKE, '{"like": true|false}', UNPARSED),
        (LIKE, '{"like": true, "final_answer": "no"}', UNPARSED),
        (LIKE, '{"like": "not really", "reason": "The colours are vivid and cheerful"}', UNPARSED),
        (LIKE, '{"question": "Do you dislike the image?", "answer": "no"}', UNPARSED),
        (LIKE, "Verdict: Yes\n\nSorry, I meant no.", UNPARSED),
        (INTEREST, '{"boring": "no"}', UNPARSED),
        (INTEREST, "Would you keep scrolling?\nAnswer: Yes", UNPARSED),
        (INTEREST, "Would I swipe away? Answer: No", UNPARSED),
        (JUDGE, "-1", UNPARSED),
        (JUDGE, "Score: -1", UNPARSED),
        (JUDGE, "Score: 1\nScale: 0-10", UNPARSED),
        (JUDGE, "Score: 1\n\n1 = unrelated, 5 = same element", UNPARSED),
        (JUDGE, "Score: 1/1", YES),
        (JUDGE, '{"score": 1, "max": 10}', UNPARSED),
        (JUDGE, '{"score": 0.8, "reason": "The answer names the same pot, but', UNPARSED),
        (JUDGE, '{"score": 1, "reason": "Both name the dog."}', YES),
        (JUDGE, "Aligned: Yes\nHowever, they do not match.", UNPARSED),
        (JUDGE, '{"aligned": true}\n\nCorrection: it is not aligned.', UNPARSED),
        (JUDGE, "Are they different? Answer: yes", UNPARSED),
        (JUDGE, "Mismatch: Yes\nAnswer: Yes", UNPARSED),
        (JUDGE, "Yes, but not exactly.", UNPARSED),
        (JUDGE, "✘", NO),
        (JUDGE, "Verdict: ✗", NO),
        (JUDGE, "**Match**: ✅", YES),
        (JUDGE, "Aligned: ✖\ufe0f", NO),
        (JUDGE, '{"match": "✗"}', NO),
        (JUDGE, "✅ or ❌", UNPARSED),
        (LIKE, "yes ✔", YES),
        (LIKE, "Yes ❌", UNPARSED),
        (LIKE, "No ❤️", NO),
        (INTEREST, "Decision: ✅ swipe", NO),
        (JUDGE, "Verdict: ✅ Not aligned", NO),
        (JUDGE, "Match: ☐", UNPARSED),
        (JUDGE, "Verdict: ×", UNPARSED),
        (LIKE, "Verdict: 💔", UNPARSED),
        (JUDGE, "Mismatch: ✓\nAnswer: ✓", UNPARSED),
        (JUDGE, "Are they different? ❌", UNPARSED),
        (LIKE, "Dislike: ❌", UNPARSED),
        (INTEREST, "Would I swipe? ❌", UNPARSED),
        (LIKE, "Sí ✗", UNPARSED),
        (JUDGE, '{"mismatch": "✓", "verdict": "✓"}', UNPARSED),
        (JUDGE, '{"mismatch": "no", "verdict": "yes"}', YES),
    ],
)
def test_a_form_that_leaves_no_doubt_needs_no_model(question: Question, answer: str, verdict: Verdict) -> None:
    (found,) = read_verdicts(None, question, [answer])
    assert (found.verdict, found.confidence) == (verdict, 1)


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        (LIKE, "I appreciate the question, but no.", NO),
        (LIKE, "There is no text in the image.", UNPARSED),
        (LIKE, "As an AI, I don't have personal preferences, but the image is lovely.", REFUSAL),
        (LIKE, "Yes, I like it. There's nothing I dislike about it.", YES),
        (INTEREST, "Not interesting at all to me.", NO),
        (INTEREST, "I find it interesting.", YES),
        (JUDGE, "The two answers do not match, since one names the dog and the other the child.", NO),
        (JUDGE, "1.  **An", UNPARSED),
        (JUDGE, "match ✗", UNPARSED),
        (INTEREST, "No. Correction: yes. I had mistaken the smoke for fog.", UNPARSED),
        (LIKE, "Yes. Wait, there is no doubt about it: yes.", YES),
        (LIKE, "Yes. Let me change my answer to no.", UNPARSED),
        (LIKE, "Yes, I like it. I mean, no complaints.", YES),
        (INTEREST, "I'd keep watching; I can't wait, no way I'm swiping.", YES),
        (LIKE, "✅ (I do not like this picture at all.)", NO),
        (LIKE, "I really like this picture ❌", UNPARSED),
    ],
)
def test_words_are_read_by_the_model(reader: OnnxReader, question: Question, answer: str, verdict: Verdict) -> None:
    assert read_verdicts(reader, question, [answer])[0].verdict is verdict


def test_another_language_is_said_and_not_guessed(reader: OnnxReader) -> None:
    (found,) = read_verdicts(reader, LIKE, ["La verdad es que no sabría decir si esta imagen me gusta o no."])
    assert (found.verdict, found.language) == (UNPARSED, "es")


def test_equal_answers_share_their_verdict(reader: OnnxReader) -> None:
    first, other, again = read_verdicts(reader, LIKE, ["I really enjoy it.", "Yes", "I really enjoy it."])
    assert first is again
    assert first is not other


def test_without_the_model_the_message_says_what_to_install() -> None:
    with pytest.raises(FailedPrecondition, match="pip install") as caught:
        read_verdicts(None, LIKE, ["I really enjoy it."])
    assert caught.value.reason == "READER_MISSING"


@given(st.text(max_size=300), st.sampled_from(Question))
def test_any_text_has_a_form_or_none(text: str, question: Question) -> None:
    assert read_form(without_wrapping(text), question) in {YES, NO, UNPARSED, None}


@pytest.mark.parametrize("text", ["[" * 10_000, '{"like":' * 10_000, "yes " * 4_000, "**" * 8_000, "<think>" * 2_000])
def test_hostile_text_has_a_form_or_none(text: str) -> None:
    for question in Question:
        assert read_form(without_wrapping(text), question) in {YES, NO, UNPARSED, None}
