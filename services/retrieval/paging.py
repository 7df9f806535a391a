"""Page tokens: where a search continues, bound to the request that it belongs to."""

import base64
import binascii
import hashlib
import math
import struct
from collections.abc import Hashable

from services.retrieval.index import FRONT, Place
from services.serving.errors import InvalidArgument

_FORM = struct.Struct(">Qd32s16s")
"""The number of hits that came before, score and SHA-256 of the last of them, and a hash of the request."""
_LENGTH = 88
"""Characters of a token: 64 bytes as base64."""


def page_token(place: Place, *request: Hashable) -> str:
    """A token for the hits behind a place. `request` is all that the hits depend on."""
    form = _FORM.pack(place.offset, place.score, bytes.fromhex(place.id), _digest(request))
    return base64.urlsafe_b64encode(form).decode()


def page_place(token: str, limit: int, *request: Hashable) -> Place:
    """Where a page begins; the front without a token.

    Args:
        limit: Hits that there can be at most; no more came before.

    Raises:
        InvalidArgument: About `page_token`, if it is none, or belongs to another request.
    """
    if not token:
        return FRONT
    try:
        if len(token) != _LENGTH:
            raise _unknown()
        offset, score, picture, digest = _FORM.unpack(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError) as error:
        raise _unknown() from error
    if digest != _digest(request):
        raise InvalidArgument(
            "page_token",
            "belongs to another request, or to an encoder that was replaced since; send the request of the previous "
            "page unchanged, or start again without a token",
            reason="PAGE_TOKEN_MISMATCH",
        )
    if offset <= 0 or not math.isfinite(score):
        raise _unknown()
    return Place(min(offset, limit), score, picture.hex())  # fewer than before where pictures were deleted since


def page_size(offset: int, k: int, max_results: int) -> int:
    """How many hits a page may have, for all pages together have `max_results` at most.

    Raises:
        InvalidArgument: About `page_token`, if it leads to where no page may begin.
    """
    if offset >= max_results:
        raise InvalidArgument(
            "page_token",
            f"leads beyond the first {max_results:,} images, the limit of all pages together; use a narrower filter or "
            "a higher score_threshold, or raise AXIA_RETRIEVAL_MAX_RESULTS",
            reason="PAGE_TOO_DEEP",
        )
    return min(k, max_results - offset)


def _digest(request: tuple[Hashable, ...]) -> bytes:
    return hashlib.blake2b(repr(request).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _unknown() -> InvalidArgument:
    return InvalidArgument(
        "page_token", "is not a token of this service; send next_page_token as it came", reason="PAGE_TOKEN_UNKNOWN"
    )
