"""Figures beside the table."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from axia.sentence.first_sentence import find_first_sentence
from loadtests.benchmark.rivals import CRUDE_STOPS
from loadtests.benchmark.stand import Stand

_FEWEST_FALLS = 2
"""With fewer steps there is no course to speak of."""


def wrong_cuts(texts: Sequence[str]) -> dict[str, str]:
    """How often a stop list ends an answer elsewhere than at the end of its first sentence.

    Args:
        texts: Whole answers of the model.
    """
    if not texts:
        return {}
    wrong = sum(crude_cut(text) != find_first_sentence(text).sentence for text in texts)
    return {
        f"answers that the stop list {list(CRUDE_STOPS)} cuts elsewhere than at the end of the first sentence": (
            f"{wrong / len(texts):.1%} of {len(texts):,}"
        )
    }


def crude_cut(text: str) -> str:
    """What a stop list leaves of a text, with the full stop that it takes away."""
    ends = [place for stop in CRUDE_STOPS if (place := text.find(stop)) >= 0]
    cut = text[: min(ends)] if ends else text
    return (cut + ".").strip() if ends and text[min(ends)] == "." else cut.strip()


def deepest_fall(rates: Mapping[int, Sequence[float]]) -> dict[str, str]:
    """How much the calls a second of one side fall at most from one concurrency to the next higher one.

    Args:
        rates: Calls a second of the repetitions, by concurrency.
    """
    medians = [(calls, statistics.median(found)) for calls, found in sorted(rates.items()) if found]
    falls = [(1 - more / less, before, after) for (before, less), (after, more) in pairwise(medians) if less]
    if len(falls) < _FEWEST_FALLS:
        return {}
    fall, before, after = max(falls)
    figure = f"{fall:.1%}, from {before} to {after} in flight" if fall > 0 else "none"
    return {"deepest fall of axia's calls a second as more are in flight (goal: at most 5%)": figure}


async def reader_hits(stand: Stand) -> dict[str, str]:
    """How much the scoring services remembered of what they were asked to read."""
    found = {}
    for what, name in (("warm", "scoring"), ("cold, last repetition", "forgetful")):
        server = stand.__dict__.get(name)
        if server is None:
            continue
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{server.metrics_port}/metrics") as page,
        ):
            text = await page.text()
        counts: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "axia_scoring_reader_texts_total":
                    counts[sample.labels["source"]] += int(sample.value)
        if counts.total():
            share = counts["remembered"] / counts.total()
            found[f"texts and pairs that the scoring service remembered, {what}"] = f"{share:.1%} of {counts.total():,}"
    return found
