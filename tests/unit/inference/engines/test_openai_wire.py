import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.engines.openai.tally import Tally
from services.inference.engines.openai.wire import MalformedAnswer, read_answer


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "message", "content", "text", "type", "thinking", "usage", "index", "error"]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_answer_is_read_or_called_malformed(data: bytes) -> None:
    try:
        answer = read_answer(data)
    except MalformedAnswer:
        return
    tally = Tally(10)
    tally.add(answer)
    assert tally.last().finish in {"stop", "length"}


def test_a_malformed_answer_is_told_by_its_place_not_by_its_content() -> None:
    with pytest.raises(MalformedAnswer) as caught:
        read_answer('{"choices": [{"delta": {"content": ["private", 5]}}]}')
    assert "choices.0.delta.content" in str(caught.value)
    assert "private" not in str(caught.value)


def test_tokens_are_counted_by_chunks_until_the_endpoint_counts_them() -> None:
    tally = Tally(100)
    said = [
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"delta": {"content": "b"}}], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
    ]
    got = [tally.add(read_answer(json.dumps(each))) for each in said]
    assert [delta and (delta.text, delta.tokens, delta.prompt_tokens) for delta in got] == [
        ("a", 1, None),
        ("b", 4, 9),
        ("", 0, 9),
    ]


def said(content: object) -> tuple[str, str]:
    choice = read_answer(json.dumps({"choices": [{"delta": {"content": content}}]})).choice
    assert choice is not None
    return choice.text, choice.said.thought


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        ([{"type": "text", "text": "A "}, {"type": "text", "text": "pot."}], "A pot.", ""),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"text": "A pot."}], "A pot.", "Hm."),
        ([{"type": "thinking", "thinking": "Hm."}], "", "Hm."),
        ([{"type": "redacted_thinking", "data": "x"}, "A pot."], "A pot.", ""),
        ([{"type": "text", "text": {"value": None}}], "", ""),
        ({"type": "text", "text": "A pot."}, "A pot.", ""),
        ([], "", ""),
        ([None], "", ""),
        ("\ud83d\ude00 half \ud83d", "\U0001f600 half \ufffd", ""),
    ],
)
def test_a_content_in_parts_is_its_texts_and_thoughts_are_kept_apart(content: object, text: str, thought: str) -> None:
    assert said(content) == (text, thought)


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": None},
        {"choices": [None]},
        {"choices": [], "usage": []},
        {"choices": [{"index": None, "delta": None, "finish_reason": {}}], "model": 5, "system_fingerprint": []},
        {"choices": [{"index": "0", "delta": {"content": None, "reasoning": [], "refusal": False}}]},
        None,
    ],
)
def test_what_is_null_or_of_another_form_and_is_not_needed_is_nothing(answer: object) -> None:
    read = read_answer(json.dumps(answer))
    assert Tally(10).add(read) is None
    assert read.failure is None


@pytest.mark.parametrize(
    ("usage", "tokens", "prompt"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4.0}, 4, 9),
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": 13}, 1, None),
        ({"prompt_tokens": 9, "total_tokens": 13}, 1, 9),
        ({"prompt_tokens": -1, "completion_tokens": -1}, 1, None),
        ({"prompt_tokens": "9", "completion_tokens": True}, 1, None),
        ({"prompt_tokens": 1e300, "completion_tokens": 2**40}, 1, None),
        ("many", 1, None),
    ],
)
def test_a_count_that_is_no_count_leaves_the_answer_and_its_chunks(usage: Any, tokens: int, prompt: int | None) -> None:
    tally = Tally(100)
    deltas = [
        tally.add(read_answer(json.dumps(chunk)))
        for chunk in ({"choices": [{"delta": {"content": "A pot."}}]}, {"choices": [], "usage": usage})
    ]
    assert sum(delta.tokens for delta in deltas if delta) == tokens
    assert tally.last().prompt_tokens == prompt


@pytest.mark.parametrize(
    ("usage", "finish"),
    [
        (
            {"prompt_tokens": 9, "completion_tokens": 16, "completion_tokens_details": {"reasoning_tokens": 16}},
            "reasoning",
        ),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 25}, "reasoning"),
        ({"prompt_tokens": 9, "completion_tokens": 16, "total_tokens": 25}, "length"),
        ({"completion_tokens": 16, "total_tokens": 25}, "length"),
        ({"completion_tokens_details": None}, "length"),
    ],
)
def test_tokens_that_went_into_reasoning_that_is_not_shown_are_told(usage: Any, finish: str) -> None:
    tally = Tally(16)
    tally.add(read_answer(json.dumps({"choices": [{"delta": {"content": ""}, "finish_reason": "MAX_TOKENS"}]})))
    tally.add(read_answer(json.dumps({"choices": [], "usage": usage})))
    assert tally.last().finish == finish


@pytest.mark.parametrize(
    "data",
    [
        [{"error": {"code": 400, "message": "no"}}],
        {"type": "error", "message": "no"},
        {"object": "error", "message": "no", "code": 400},
        {"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "no"}}]},
        {"choices": [{"index": 0, "finish_reason": "error"}], "error": {"code": 502, "message": "no"}},
    ],
)
def test_an_error_in_place_of_an_answer_is_found_wherever_it_is(data: object) -> None:
    assert read_answer(json.dumps(data)).failure["message"] == "no"
