"""Page tokens."""

import base64
import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.retrieval.index import FRONT, Filter, Hit, PictureRecord, Place
from services.retrieval.paging import page_place, page_size, page_token
from services.retrieval.settings import RetrievalSettings
from services.serving.errors import InvalidArgument

REQUEST = ("text", "a beach", 5, Filter(("tiktok",)), 0.2)


BASE64 = string.ascii_letters + string.digits + "-_="
PLACE = Place(5, 0.25, "ab" * 32)


@given(st.integers(1, 2**40), st.floats(-1, 1), st.binary(min_size=32, max_size=32))
def test_a_token_leads_to_where_it_was_made(offset: int, score: float, picture: bytes) -> None:
    place = Place(offset, score, picture.hex())
    assert page_place(page_token(place, *REQUEST), offset, *REQUEST) == place


def test_no_token_leads_to_the_front() -> None:
    assert page_place("", 0, *REQUEST) == FRONT


def test_a_place_is_behind_its_hit_and_before_what_is_less_near_or_as_near_and_later_by_id() -> None:
    before = [(0.26, "ff" * 32), (0.25, "aa" * 32), (0.25, PLACE.id)]
    behind = [(0.25, "ac" * 32), (0.24, "00" * 32)]
    hits = [Hit(PictureRecord(picture, "PNG", 1, 1, "0" * 16), score) for score, picture in (*before, *behind)]
    assert [PLACE.precedes(hit) for hit in hits] == [False] * 3 + [True] * 2
    assert all(map(FRONT.precedes, hits))


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
        page_place(page_token(PLACE, *other), 100, *REQUEST)
    assert caught.value.reason == "PAGE_TOKEN_MISMATCH"
    assert caught.value.violations[0].field == "page_token"


@given(st.one_of(st.text(max_size=64), st.text(BASE64, min_size=88, max_size=88)))
def test_what_is_no_token_is_refused(text: str) -> None:
    if not text:
        return
    with pytest.raises(InvalidArgument):
        page_place(text, 100, *REQUEST)


def forged(offset: int) -> str:
    whole = base64.urlsafe_b64decode(page_token(PLACE, *REQUEST))
    return base64.urlsafe_b64encode(offset.to_bytes(8) + whole[8:]).decode()


def test_a_token_without_a_score_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_place(page_token(PLACE._replace(score=math.nan), *REQUEST), 100, *REQUEST)
    assert caught.value.reason == "PAGE_TOKEN_UNKNOWN"


def test_a_token_without_an_offset_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_place(forged(0), 100, *REQUEST)
    assert caught.value.reason == "PAGE_TOKEN_UNKNOWN"


@pytest.mark.parametrize("offset", [101, 2**64 - 1])
def test_a_page_beyond_the_pictures_is_no_error(offset: int) -> None:
    assert page_place(forged(offset), 100, *REQUEST).offset == 100  # pictures may have been deleted since


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
