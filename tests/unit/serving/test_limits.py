"""Checks of numbers and texts: what passes, and what the refusal says."""

import math
import re

import pytest

from services.serving.errors import Code, InvalidArgument
from services.serving.limits import MAX_SEED, check_between, check_special_tokens, check_text, check_top_p


def violation(caught: pytest.ExceptionInfo[InvalidArgument]) -> tuple[str, str]:
    (only,) = caught.value.violations
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == f"{only.field}: {only.description}"
    return only.field, caught.value.reason


@pytest.mark.parametrize("value", [0, 2, 0.0, 2.0, 1, 1e-300])
def test_a_number_within_the_bounds_or_at_one_passes(value: float) -> None:
    check_between("temperature", value, 0, 2)


@pytest.mark.parametrize("value", [-1e-9, 2.0000001, math.inf, -math.inf, math.nan, -1, 3])
def test_a_number_outside_the_bounds_is_refused_by_name(value: float) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_between("samples[2].temperature", value, 0, 2)
    assert violation(caught) == ("samples[2].temperature", "OUT_OF_RANGE")


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (5, 1, 4, "must be from 1 to 4, and is 5"),
        (2.5, 0, 2.0, "must be from 0 to 2, and is 2.5"),
        (2.00000001, 0, 2.0, "must be from 0 to 2, and is 2.00000001"),
        (math.nan, 0, 2.0, "must be from 0 to 2, and is not a number"),
        (math.inf, 0, 2.0, "must be from 0 to 2, and is inf"),
        (MAX_SEED + 1, 0, MAX_SEED, "must be from 0 to 9007199254740991, and is 9007199254740992"),
        (1_048_577, 1, 1_048_576, "must be from 1 to 1048576, and is 1048577"),
    ],
)
def test_the_message_tells_the_number_from_the_bounds(value: float, low: float, high: float, said: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(f"field: {said}") + "$"):
        check_between("field", value, low, high)


@pytest.mark.parametrize("value", [1, 1.0, 1e-9, 0.5])
def test_a_nucleus_above_zero_and_up_to_one_passes(value: float) -> None:
    check_top_p("top_p", value)


@pytest.mark.parametrize(
    ("value", "given"), [(0.0, "0"), (-0.5, "-0.5"), (1.00000001, "1.00000001"), (math.nan, "not a number")]
)
def test_a_nucleus_of_nothing_or_of_more_than_all_is_refused(value: float, given: str) -> None:
    with pytest.raises(InvalidArgument, match=f"and is {re.escape(given)}$") as caught:
        check_top_p("top_p", value)
    assert violation(caught) == ("top_p", "OUT_OF_RANGE")


@pytest.mark.parametrize("text", ["a", " a ", "x" * 10, "価値" * 5])
def test_a_text_up_to_the_bound_passes(text: str) -> None:
    check_text("prompt_text", text, 10)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2003"])
def test_a_text_of_nothing_but_space_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_text("prompt_text", text, 10)
    assert violation(caught) == ("prompt_text", "TEXT_EMPTY")


def test_an_overlong_text_is_refused_with_both_lengths_and_without_the_text() -> None:
    with pytest.raises(InvalidArgument, match=r"has 1,001 characters, at most 1,000 are allowed") as caught:
        check_text("prompt_text", "y" * 1001, 1000)
    assert violation(caught) == ("prompt_text", "TEXT_TOO_LONG")
    assert "yyy" not in caught.value.message


def test_a_special_token_anywhere_in_a_text_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="'<image>'") as caught:
        check_special_tokens("messages[1].text", "what is<image>this", ["</s>", "<image>"])
    assert violation(caught) == ("messages[1].text", "SPECIAL_TOKEN")


def test_thousands_of_special_tokens_cost_one_pass() -> None:
    """Texts that begin like each of them would take a search for each otherwise."""
    tokens = tuple(f"<|reserved_{number}|>" for number in range(6000))
    check_special_tokens("prompt_text", "<|reserved_" * 1500, tokens)
    with pytest.raises(InvalidArgument, match=r"<\|reserved_5999\|>"):
        check_special_tokens("prompt_text", "<|reserved_" * 1500 + "<|reserved_5999|>", tokens)


@pytest.mark.parametrize("tokens", [(), ("<image>", "</s>"), ("",)])
def test_a_text_without_special_tokens_passes(tokens: tuple[str, ...]) -> None:
    check_special_tokens("prompt_text", "a < b, image > text", tokens)
