"""When an OpenAI-compatible endpoint is asked again: what it asks for in its headers, and the back-off."""

import random
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

_FIRST_PAUSE_S = 0.5
_MAX_DOUBLINGS = 16


def pause_before(attempt: int, asked_s: float | None, max_s: float) -> float | None:
    """Seconds to wait before a retry: doubling with jitter, and no less than the endpoint asks for.

    Args:
        attempt: 0 before the first retry.
        asked_s: What Retry-After says.
        max_s: Longest pause.

    Returns:
        None if the endpoint asks for a longer pause than that: then there is no point in asking again.
    """
    if asked_s is not None and asked_s > max_s:
        return None
    # Jitter keeps completions that failed together from coming back together.
    backoff_s = min(_FIRST_PAUSE_S * 2.0 ** min(attempt, _MAX_DOUBLINGS), max_s) * random.uniform(0.5, 1.0)  # noqa: S311 - guards nothing
    return max(backoff_s, asked_s or 0.0)


def retry_after_ms(value: str) -> float | None:
    """Seconds that a retry-after-ms header of OpenAI and Azure asks for; None if it holds no number."""
    milliseconds = retry_after_s(value) if re.fullmatch(r"[\d. ]+", value) else None
    return None if milliseconds is None else milliseconds / 1000


def retry_after_s(value: str) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date; None if it is neither."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:  # "-0000" and dates without a zone are in UTC
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - time.time())
