"""Remembers the embeddings of sentences that come alone or few at a time, as a picture's completions do.

Completions of one picture are grouped, typed, attributed and aligned, which needs the same embeddings again and again,
in one call (`OneCallEmbedder`) or in several; and a model that watches a room says the same sentences again and again.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from services.scoring.embedder import Embedder, Vectors

FEW = 16
"""Distinct sentences of a call at most that are remembered. More are computed as one batch, which is faster."""
LONGEST = 1024
"""Characters of a sentence at most that is remembered; longer ones are rare, and would only take the room."""


class CachedEmbedder:
    """An embedder that remembers.

    Few sentences are computed one by one, so that what a sentence's row is never depends on which sentences came with
    it, or before it: the same call always has the same result, to the last bit.

    Args:
        embedder: Computes what is not remembered.
        size: Sentences to remember at most; those that were used least recently are forgotten.
    """

    def __init__(self, embedder: Embedder, size: int) -> None:
        self._embedder = embedder
        self._size = size
        self._rows: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()
        self._computing: dict[str, threading.Event] = {}

    @property
    def name(self) -> str:
        """The package or folder that the model came from."""
        return self._embedder.name

    @property
    def revision(self) -> str:
        """The first 12 hexadecimal digits of the weights' SHA-256."""
        return self._embedder.revision

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """One row for each sentence, in order, as the embedder gives them."""
        distinct = list(dict.fromkeys(sentences))
        if len(distinct) > FEW or any(len(sentence) > LONGEST for sentence in distinct):
            return self._embedder.embed(sentences)
        rows = {sentence: self._row(sentence) for sentence in distinct}
        return np.stack([rows[sentence] for sentence in sentences])

    def _row(self, sentence: str) -> Vectors:
        while True:
            with self._lock:
                row = self._rows.get(sentence)
                if row is not None:
                    self._rows.move_to_end(sentence)
                    return row
                others = self._computing.get(sentence)
                if others is None:
                    self._computing[sentence] = threading.Event()
                    break
            others.wait()  # another call computes it now; if that fails, this one tries
        try:
            computed: Vectors = self._embedder.embed([sentence])[0]
            with self._lock:
                self._rows[sentence] = computed
                if len(self._rows) > self._size:
                    self._rows.popitem(last=False)
            return computed
        finally:
            with self._lock:
                self._computing.pop(sentence).set()


class OneCallEmbedder:
    """An embedder for the parts of one call: what one part embedded, another that asks for the same need not.

    Whole batches are remembered, because the last bits of a row depend on what else is in its batch. Where there are
    few sentences, a `CachedEmbedder` below this one remembers each of them alone.

    Args:
        embedder: Computes what this call has not asked for yet.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._batches: dict[tuple[str, ...], Vectors] = {}

    @property
    def name(self) -> str:
        """The package or folder that the model came from."""
        return self._embedder.name

    @property
    def revision(self) -> str:
        """The first 12 hexadecimal digits of the weights' SHA-256."""
        return self._embedder.revision

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """One row for each sentence, in order, as the embedder gives them."""
        places = {sentence: place for place, sentence in enumerate(dict.fromkeys(sentences))}
        batch = tuple(places)
        if batch not in self._batches:
            self._batches[batch] = self._embedder.embed(batch)
        return self._batches[batch][[places[sentence] for sentence in sentences]]
