"""Figures beside the table."""

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from axia import AsyncClient, Completion, Detection
from axia.sentence.first_sentence import find_first_sentence
from loadtests.benchmark.rivals import CRUDE_STOPS
from loadtests.benchmark.rows import CACHE_GOALS, SEARCH_50K, SEARCH_500K
from loadtests.pictures import Picture
from loadtests.servers import Server

_FEWEST_FALLS = 2
"""With fewer steps there is no trend to speak of."""
_DEEPEST_FALL = 0.05
_STREAMED = 100
"""Calls of which the lag is measured."""
_LAG_MS = 10.0


class PictureCache(NamedTuple):
    """Pictures that the engine's processor was given."""

    hits: int
    misses: int

    def since(self, before: "PictureCache") -> "PictureCache":
        """Those after an earlier count."""
        return PictureCache(self.hits - before.hits, self.misses - before.misses)


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
    figure += ", **missed**" if fall > _DEEPEST_FALL else ""
    return {"deepest fall of axia's calls a second as more are in flight (goal: at most 5%)": figure}


async def stream_lag(gateway: Server, pictures: Sequence[Picture]) -> dict[str, str]:
    """How long after the engine's event a completed sentence is at the client of StreamDetectValues.

    One completion is asked for at a time. The lag is the time from the call to the completion, without the stages that
    the inference service reports; it contains the request's way to the engine as well, so it is an upper bound.
    """
    lags = []
    async with AsyncClient(gateway.address) as client:
        for number in range(_STREAMED):
            began, ended, whole = time.perf_counter(), 0.0, None
            picture = pictures[number % len(pictures)].data
            async for event in client.stream(picture, n=1, seed=number):
                if isinstance(event, Completion):
                    ended = time.perf_counter()
                elif isinstance(event, Detection):
                    whole = event
            if whole is not None and ended:
                stages = ("decode", "first_token", "generation")
                lags.append(1000 * (ended - began) - sum(whole.timings_ms[stage] for stage in stages))
    what = "a completed sentence is at the client after the engine's event, at most (goal: 10 ms at p95)"
    p50, p95 = statistics.median(lags), statistics.quantiles(lags, n=20)[-1]
    missed = ", **missed**" if p95 > _LAG_MS else ""
    return {what: f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, of {len(lags)}{missed}"}


def picture_hits(found: Mapping[str, Sequence[PictureCache]]) -> dict[str, str]:
    """Share of the pictures that the engines' caches had, beside its goal, of sides by name."""
    notes = {}
    for name, each in found.items():
        share = sum(one.hits for one in each) / max(1, sum(one.hits + one.misses for one in each))
        bound, goal = CACHE_GOALS[name]
        met = share >= goal if bound == "at least" else share <= goal
        what = f"pictures that the engine's cache had: {name} (goal: {bound} {goal:.0%})"
        notes[what] = f"{share:.1%}" + ("" if met else ", **missed**")
    return notes


async def picture_cache(servers: Sequence[Server]) -> PictureCache:
    """What the inference servers among these have counted so far, together."""
    counts: Counter[str] = Counter()
    for server in servers:
        if server.name == "inference":
            counts += await _counts(server, "axia_inference_picture_cache_total", "outcome")
    return PictureCache(counts["hit"], counts["miss"])


async def reader_hits(scoring: Mapping[str, Server]) -> dict[str, str]:
    """How much scoring services remembered of what they were asked to read, by what they are."""
    found = {}
    for what, server in scoring.items():
        counts = await _counts(server, "axia_scoring_reader_texts_total", "source")
        if counts.total():
            share = counts["remembered"] / counts.total()
            found[f"texts and pairs that the scoring service remembered, {what}"] = f"{share:.1%} of {counts.total():,}"
    return found


def searches_in_more(medians_s: Mapping[str, float]) -> dict[str, str]:
    """The median latency of a search in ten times as many images as were measured, computed from two sizes.

    Args:
        medians_s: Median seconds of the smaller and of the larger index, which has ten times the images.
    """
    smaller, larger = (medians_s.get(name) for name in (SEARCH_50K, SEARCH_500K))
    if not smaller or not larger:
        return {}
    growth = larger / smaller
    figure = f"{1000 * larger * growth:.2f} ms: {1000 * larger:.2f} ms × {growth:.2f}, the growth to 502,000"
    return {"search in 5 million images, p50, computed and not measured": figure}


async def _counts(server: Server, metric: str, label: str) -> Counter[str]:
    """What a counter of a server says, by a label."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.metrics_port}/metrics") as page,
    ):
        text = await page.text()
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == metric:
                counts[sample.labels[label]] += int(sample.value)
    return counts
