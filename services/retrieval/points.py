"""What a picture looks like as a point of Qdrant, embedded or served."""

import dataclasses
import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Any

from services.retrieval.index import EncoderId, Hit, PictureRecord, Query
from services.serving.errors import InvalidArgument

KEY_BYTES = 32
"""Of a SHA-256."""
SLACK = 3
"""Hits asked for beyond those wanted, to see whether the last one's score continues after it."""
_FEWEST_CANDIDATES = 64
"""Of 20,000 clustered vectors of 512 dimensions all five nearest were found, as with 128 at twice the time; of nearly
structureless ones 98%."""
_THRESHOLD_MARGIN = 0.05
_DIGITS = 5
_FIELDS = tuple(field.name for field in dataclasses.fields(PictureRecord) if field.name != "id")


def unknown_page() -> InvalidArgument:
    """What a caller is told whose place in a list is none."""
    return InvalidArgument(
        "page_token", "is not a token of this list; send next_page_token as it came", reason="PAGE_TOKEN_UNKNOWN"
    )


def key_of(picture: str) -> bytes | None:
    """The 32 bytes of an id; None if it can't be one."""
    try:
        key = bytes.fromhex(picture)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES and key.hex() == picture else None


def point_id(key: bytes) -> str:
    """The first 128 bits of a picture's SHA-256 as a UUID."""
    return str(uuid.UUID(bytes=key[:16]))


def payload_of(record: PictureRecord) -> dict[str, Any]:
    """What is stored beside a vector; the full SHA-256 as `sha256`."""
    payload = dataclasses.asdict(record)
    payload["sha256"] = payload.pop("id")
    if payload["capture_time"] is None:
        del payload["capture_time"]
    return payload


def record_of(payload: dict[str, Any] | None) -> PictureRecord:
    """What `payload_of` stored."""
    if payload is None:
        raise ValueError("a point without its payload")
    return PictureRecord(id=payload["sha256"], **{name: payload[name] for name in _FIELDS if name in payload})


def rounded(score: float) -> float:
    """A score as it is reported and compared, so that rounding of float32 doesn't break ties by id."""
    return round(float(score), _DIGITS)


def ranked(hits: Sequence[Hit]) -> list[Hit]:
    """The best first; among equals by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.record.id))


def loosened(threshold: float | None) -> float | None:
    """The least score to ask a store for, which may compare it with scores by 8-bit integers; see `passes`."""
    return None if threshold is None else threshold - _THRESHOLD_MARGIN


def passes(score: float, threshold: float | None) -> bool:
    """Whether a score by the vectors themselves is high enough."""
    return threshold is None or score >= threshold


def candidates(limit: int) -> int:
    """How many pictures a search that returns `limit` picks by their 8-bit integers, to score them by their vectors.

    At least twice as many: of 50,191 pictures all five nearest were found, and 93% by the integers alone. A power of
    two, so that most pages of one search choose among the same pictures as the page before: one that only a later page
    looks at may be nearer than what the pages before had, and then it is in none.
    """
    return max(_FEWEST_CANDIDATES, 1 << (2 * limit - 1).bit_length())


def oversampling(limit: int) -> float:
    """`candidates` as the stores take it: a factor, whose product with `limit` they round down."""
    return (candidates(limit) + 0.5) / limit


def is_enough(query: Query, hits: Sequence[Hit], least: float) -> bool:
    """Whether hits that were found suffice for a query: as many as wanted, and none of the last one's score is missing.

    Args:
        query: What was searched for.
        hits: Those that count, the best first.
        least: The lowest score that the store returned.
    """
    return len(hits) >= query.k and least < hits[query.k - 1].score


def slug(encoder: EncoderId) -> str:
    """A name for folders: what is readable of the encoder's, and a hash of its name and revision."""
    digest = hashlib.sha256(f"{encoder.name}\0{encoder.revision}".encode()).hexdigest()[:12]
    return f"{re.sub('[^A-Za-z0-9]+', '-', encoder.name).strip('-').lower()[:40]}-{digest}"
