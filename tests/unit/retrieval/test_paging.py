"""Page tokens."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.retrieval.index import Filter
from services.retrieval.paging import page_offset, page_size, page_token
from services.retrieval.settings import RetrievalSettings
from services.serving.errors import InvalidArgument

REQUEST = ("text", "a beach", 5, Filter(("tiktok",)), 0.2)


@given(st.integers(1, 2**40))
def test_a_token_leads_to_where_it_was_made(offset: int) -> None:
    assert page_offset(page_token(offset, *REQUEST), offset, *REQUEST) == offset


def test_no_token_leads_to_the_front() -> None:
    assert page_offset("", 0, *REQUEST) == 0


@pytest.mark.parametrize(
    "other",
    [
        ("text", "a beach ", 5, Filter(("tiktok",)), 0.2),
        ("id", "a beach", 5, Filter(("tiktok",)), 0.2),
        ("text", "a beach", 6, Filter(("tiktok",)), 0.2),
        ("text", "a beach", 5, Filter(sources=("tiktok",)), 0.2),
        ("text", "a beach", 5, Filter(("tiktok",)), None),
    ],
)
def test_a_token_of_another_request_is_refused(other: tuple[object, ...]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_offset(page_token(5, *other), 100, *REQUEST)
    assert caught.value.reason == "PAGE_TOKEN_MISMATCH"
    assert caught.value.violations[0].field == "page_token"


@given(st.text(max_size=64))
def test_what_is_no_token_is_refused(text: str) -> None:
    if not text:
        return
    with pytest.raises(InvalidArgument):
        page_offset(text, 100, *REQUEST)


def forged(offset: int) -> str:
    whole = base64.urlsafe_b64decode(page_token(5, *REQUEST))
    return base64.urlsafe_b64encode(offset.to_bytes(8) + whole[8:]).decode()


def test_a_token_without_an_offset_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_offset(forged(0), 100, *REQUEST)
    assert caught.value.reason == "PAGE_TOKEN_UNKNOWN"


@pytest.mark.parametrize("offset", [101, 2**64 - 1])
def test_a_page_beyond_the_pictures_is_empty_and_no_error(offset: int) -> None:
    assert page_offset(forged(offset), 100, *REQUEST) == 100  # pictures may have been deleted since


@pytest.mark.parametrize(("offset", "size"), [(0, 30), (70, 30), (71, 29), (99, 1)])
def test_the_last_page_has_what_is_left_of_the_bound(offset: int, size: int) -> None:
    assert page_size(offset, 30, max_results=100) == size


@pytest.mark.parametrize("offset", [100, 2**40])
def test_a_page_beyond_the_bound_is_refused_with_what_to_do(offset: int) -> None:
    with pytest.raises(InvalidArgument, match=r"filter.*AXIA_RETRIEVAL_MAX_RESULTS") as caught:
        page_size(offset, 30, max_results=100)
    assert (caught.value.reason, caught.value.violations[0].field) == ("PAGE_TOO_DEEP", "page_token")


def test_a_bound_that_no_full_page_fits_into_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="MAX_RESULTS must be at least MAX_K"):
        RetrievalSettings(max_k=100, max_results=99)
