"""Measures how long the completions of one detection take to be read: python -m loadtests.benchmark.reading_speed.

Reads sets of completions by the authors that nothing was fitted to, as the scoring service does for one detection
(groups, response types, values), with nothing remembered. Prints medians for 3 and 16 completions, the time of 256
different sentences and of 100 texts of 16,000 characters, and what one text and one pair cost.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

from services.scoring.protocols.completions import read_completions
from services.scoring.reading import spoken
from services.scoring.reading.language import Language
from services.scoring.reading.model import Pair, load_reader
from training.reading import corpus

ROUNDS = 60


def milliseconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Prints the figures."""
    reader = load_reader()
    language = Language(reader)
    spoken.load()
    texts = [text for situation in corpus.situations(corpus.HELD_OUT) for text in situation.aligned]
    endless = itertools.cycle(texts)

    def read(sentences: Sequence[str]) -> None:
        read_completions(language, sentences, 0.5, None)

    read(texts[:3])
    for count in (3, 16):
        times = [milliseconds(partial(read, texts)) for texts in _sets(endless, count)]
        print(f"{count} completions of one picture, all different: {statistics.median(times):.1f} ms in the median")
    print(f"256 different sentences: {milliseconds(partial(read, texts[:256])) / 1000:.2f} s")
    long = [f"{number} " + "the pan is on fire " * 850 for number in range(100)]
    print(f"100 texts of {len(long[0]):,} characters: {milliseconds(partial(read, long)) / 1000:.2f} s")
    began = time.process_time()
    reader.describe(texts[:200])
    print(f"one sentence: {(time.process_time() - began) * 5:.1f} ms of processor time")
    began = time.process_time()
    reader.relate([Pair(one, other) for one, other in itertools.pairwise(texts[:201])])
    print(f"one pair: {(time.process_time() - began) * 5:.1f} ms of processor time")


def _sets(texts: "itertools.cycle[str]", count: int) -> list[list[str]]:
    return [list(itertools.islice(texts, count)) for _ in range(ROUNDS if count < 10 else ROUNDS // 6)]  # noqa: PLR2004


if __name__ == "__main__":
    main()
