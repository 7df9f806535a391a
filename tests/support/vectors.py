"""Entries of vector indexes for tests: clustered directions, and records that follow from a number."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.index import Entry, Hit, PictureRecord, Query

DIMENSION = 32
PLATFORMS = ("tiktok", "instagram", "youtube", "")
SOURCES = ("feed", "search")


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def directions(count: int, seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Shape (count, dimension), unit length, around twenty centres that are the same for every seed."""
    centres = np.random.default_rng(0).standard_normal((20, dimension))
    random = np.random.default_rng(seed)
    return unit(centres[random.integers(20, size=count)] + 0.7 * random.standard_normal((count, dimension)))


def picture_id(number: int) -> str:
    return hashlib.sha256(f"picture {number}".encode()).hexdigest()


def record(number: int) -> PictureRecord:
    return PictureRecord(
        id=picture_id(number),
        format=("JPEG", "PNG", "WEBP")[number % 3],
        width=100 + number,
        height=200,
        perceptual_hash=f"{number:016x}",
        platform=PLATFORMS[number % len(PLATFORMS)],
        capture_time=None if number % 5 == 0 else 1_700_000_000.0 + number,
        source=SOURCES[number % len(SOURCES)],
    )


def entries(count: int, first: int = 0, seed: int = 1, dimension: int = DIMENSION) -> list[Entry]:
    vectors = directions(first + count, seed, dimension)[first:]
    return [Entry(record(first + number), vector) for number, vector in enumerate(vectors)]


def passes(query: Query, candidate: PictureRecord) -> bool:
    wanted = query.filter
    time = candidate.capture_time
    return (
        (not wanted.platforms or candidate.platform in wanted.platforms)
        and (not wanted.sources or candidate.source in wanted.sources)
        and (wanted.captured_from is None or (time is not None and time >= wanted.captured_from))
        and (wanted.captured_before is None or (time is not None and time < wanted.captured_before))
    )


def exact(query: Query, there: Sequence[Entry]) -> list[Hit]:
    """What a search must find, computed one by one."""
    hits = [Hit(entry.record, round(float(entry.vector @ query.vector), 5)) for entry in there]
    hits = [hit for hit in hits if passes(query, hit.record)]
    if query.score_threshold is not None:
        hits = [hit for hit in hits if hit.score >= query.score_threshold]
    hits.sort(key=lambda hit: (-hit.score, hit.record.id))
    return hits[: query.k]
