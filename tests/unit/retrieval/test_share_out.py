"""Sharing pictures out among the keywords of a value."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.index import Hit, PictureRecord, Query
from services.retrieval.search import Wanted, share_out


class ExactIndex:
    """As much of an index as sharing out needs. A query's vector is its row of scores."""

    def __init__(self) -> None:
        self.deepest = 0
        self.searches = 0

    async def search(self, query: Query) -> list[Hit]:
        self.deepest = max(self.deepest, query.k)
        self.searches += 1
        hits = [
            Hit(PictureRecord(f"{number:02}", "PNG", 1, 1, "0" * 16), float(score))
            for number, score in enumerate(query.vector)
            if query.score_threshold is None or score >= query.score_threshold
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.record.id))[: query.k]


async def shared(scores: Any, k: int, threshold: float | None = None) -> list[list[str]]:
    wanted = Wanted(k=k, score_threshold=threshold)
    index: Any = ExactIndex()
    kept = await share_out(index, np.array(scores, np.float32), wanted)
    assert index.deepest <= len(scores) * k
    for hits in kept:
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    return [[hit.record.id for hit in hits] for hits in kept]


async def test_a_picture_goes_to_the_nearer_keyword_and_the_other_takes_its_next() -> None:
    assert await shared([[0.9, 0.5, 0.1], [0.8, 0.2, 0.7]], k=1) == [["00"], ["02"]]


async def test_a_keyword_that_loses_a_picture_can_take_one_from_another() -> None:
    # The first loses 00 to the second, takes 01 from the third by being nearer, and the third takes 02.
    scores = [[0.8, 0.7, 0.0], [0.9, 0.0, 0.0], [0.0, 0.6, 0.5]]
    assert await shared(scores, k=1) == [["01"], ["00"], ["02"]]


async def test_keywords_have_fewer_only_where_there_are_no_more() -> None:
    assert await shared([[0.9, 0.8], [0.7, 0.6]], k=2) == [["00", "01"], []]
    assert await shared([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2]], k=2, threshold=0.15) == [["00", "01"], ["02"]]


async def test_ties_go_to_the_first_keyword() -> None:
    assert await shared([[0.5, 0.4], [0.5, 0.4]], k=1) == [["00"], ["01"]]


async def test_nothing_is_found_in_an_empty_index() -> None:
    assert await shared(np.empty((3, 0)), k=5) == [[], [], []]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Any, int]:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(0, 30))
    seed, distinct = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 1000))
    scores = np.random.default_rng(seed).integers(0, distinct, (rows, columns)) / 1000
    return scores, draw(st.integers(1, 5))


@settings(max_examples=300, deadline=None)
@given(tables())
async def test_the_result_is_stable_complete_and_free_of_doubles(table: tuple[Any, int]) -> None:
    scores, k = table
    kept = await shared(scores, k)
    rows, columns = scores.shape
    holder = {int(picture): row for row, pictures in enumerate(kept) for picture in pictures}
    assert len(holder) == sum(map(len, kept))
    for row in range(rows):
        for picture in range(columns):
            if holder.get(picture) == row:
                continue
            # Nobody goes without a picture that it could have: either the picture lies with a nearer keyword, or the
            # keyword is full of pictures that are nearer.
            elsewhere = picture in holder and scores[holder[picture], picture] >= scores[row, picture]
            full = len(kept[row]) == k and all(scores[row, int(found)] >= scores[row, picture] for found in kept[row])
            assert elsewhere or full


async def test_one_search_a_keyword_is_mostly_enough() -> None:
    scores = np.random.default_rng(0).random((10, 1000)).astype(np.float32)
    index: Any = ExactIndex()
    await share_out(index, scores, Wanted(k=5))
    assert index.searches == 10
