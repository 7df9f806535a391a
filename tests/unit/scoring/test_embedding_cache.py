"""Remembered embeddings are those that would be computed, and each is computed once."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from services.scoring.embedder import Vectors
from services.scoring.embedding_cache import FEW, LONGEST, CachedEmbedder, OneCallEmbedder


class Counting:
    """An embedder that counts, and that can be held."""

    name, revision = "counting", "1"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.fails = 0

    def embed(self, sentences: Sequence[str]) -> Vectors:
        self.batches.append(list(sentences))
        assert self.free.wait(30)
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no memory")
        return np.array([[len(sentence), ord(sentence[0])] for sentence in sentences], np.float32)


def test_a_sentence_is_computed_once_and_its_row_stays_the_same() -> None:
    inner = Counting()
    cached = CachedEmbedder(inner, 10)
    first = cached.embed(["smoke", "a child", "smoke"])
    again = cached.embed(["a child", "smoke"])
    assert inner.batches == [["smoke"], ["a child"]]
    assert first.tolist() == [[5, 115], [7, 97], [5, 115]]
    assert again.tolist() == [[7, 97], [5, 115]]
    assert (cached.name, cached.revision) == ("counting", "1")


def test_the_least_recently_used_is_forgotten() -> None:
    inner = Counting()
    cached = CachedEmbedder(inner, 2)
    for sentence in ("a", "b", "a", "c", "a", "b"):
        cached.embed([sentence])
    assert inner.batches == [["a"], ["b"], ["c"], ["b"]]


@pytest.mark.parametrize("sentences", [[str(number) for number in range(FEW + 1)], ["x" * (LONGEST + 1)]])
def test_many_or_long_sentences_go_through_as_one_batch(sentences: list[str]) -> None:
    inner = Counting()
    cached = CachedEmbedder(inner, 100)
    cached.embed(sentences)
    cached.embed(sentences)
    assert inner.batches == [sentences, sentences]


def test_calls_that_need_the_same_sentence_at_once_compute_it_once() -> None:
    inner = Counting()
    inner.free.clear()
    cached = CachedEmbedder(inner, 10)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(cached.embed, ["smoke"]) for _ in range(4)]
        inner.free.set()
        assert {tuple(call.result()[0]) for call in calls} == {(5.0, 115.0)}
    assert inner.batches == [["smoke"]]


def test_a_failure_is_not_remembered() -> None:
    inner = Counting()
    inner.fails = 1
    cached = CachedEmbedder(inner, 10)
    with pytest.raises(RuntimeError, match="no memory"):
        cached.embed(["smoke"])
    assert cached.embed(["smoke"]).tolist() == [[5, 115]]


def test_parts_of_one_call_that_embed_the_same_sentences_compute_them_once() -> None:
    inner = Counting()
    once = OneCallEmbedder(inner)
    first = once.embed(["smoke", "a child", "smoke"])
    again = once.embed(["smoke", "a child"])
    other = once.embed(["a child", "smoke"])  # another batch, whose rows may differ in their last bits
    assert [list(batch) for batch in inner.batches] == [["smoke", "a child"], ["a child", "smoke"]]
    assert first.tolist() == [[5, 115], [7, 97], [5, 115]]
    assert again.tolist() == other[::-1].tolist() == [[5, 115], [7, 97]]
    assert (once.name, once.revision) == ("counting", "1")
